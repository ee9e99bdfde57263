//! Texts for clients, without paths of this machine.

use std::path::PathBuf;

/// Removes folders of the server from texts. Unlike [`without_paths`], it knows them, so they may have spaces.
pub struct Redaction {
    folders: Vec<String>,
}

impl Redaction {
    /// Knows these folders.
    pub fn of(folders: impl IntoIterator<Item = PathBuf>) -> Redaction {
        let absolute = |folder: PathBuf| std::path::absolute(&folder).unwrap_or(folder);
        let mut folders: Vec<String> =
            folders.into_iter().map(|folder| format!("{}/", absolute(folder).display())).collect();
        // A folder within another one goes first.
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.len()));
        Redaction { folders }
    }

    /// The text without these folders and without other absolute paths.
    pub fn apply(&self, text: &str) -> String {
        let known = self.folders.iter().fold(text.to_string(), |text, folder| text.replace(folder, ""));
        without_paths(&known)
    }
}

/// Replaces each absolute path by its last part.
pub fn without_paths(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = next_path(rest) {
        out.push_str(&rest[..start]);
        let path = &rest[start..];
        let end = path.find(is_end).unwrap_or(path.len());
        let (path, behind) = path.split_at(end);
        out.push_str(path.trim_end_matches('/').rsplit('/').next().unwrap_or_default());
        rest = behind;
    }
    out + rest
}

/// The start of the next absolute path: a slash at the start of a word, followed by a name and another slash.
fn next_path(text: &str) -> Option<usize> {
    let mut before = ' ';
    for (index, character) in text.char_indices() {
        let is_start = character == '/' && !is_word(before) && !text[index..].starts_with("//");
        if is_start
            && text[index + 1..].split(is_end).next().is_some_and(|path| path.trim_end_matches('/').contains('/'))
        {
            return Some(index);
        }
        before = character;
    }
    None
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '/' | '.' | '_' | '-')
}

fn is_end(character: char) -> bool {
    character.is_whitespace() || matches!(character, ',' | ';' | ':' | '`' | '"' | '\'' | '(' | ')' | '[' | ']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_folders_may_have_spaces() {
        let redaction = Redaction::of(["/home/my user/data".into(), "/home/my user/data/jobs".into()]);
        let text = "/home/my user/data/jobs/1/data: full; /home/my user/data/a b.parquet: damaged; /etc/x/y: no";
        assert_eq!(redaction.apply(text), "1/data: full; a b.parquet: damaged; y: no");
    }

    #[test]
    fn paths_lose_their_folders_and_nothing_else_changes() {
        let cases = [
            ("checkpoint /home/me/w/model.safetensors: is missing", "checkpoint model.safetensors: is missing"),
            ("`/a/b` and (/c/d/)", "`b` and (d)"),
            ("node `a/b`, 3 rows/s, and/or, 1/2", "node `a/b`, 3 rows/s, and/or, 1/2"),
            ("no path: / or /tmp or ü/b", "no path: / or /tmp or ü/b"),
            ("https://example.org/a/b", "https://example.org/a/b"),
            ("/ü/é.txt", "é.txt"),
        ];
        for (text, expected) in cases {
            assert_eq!(without_paths(text), expected);
        }
    }
}
