//! The page for people: plain files inside the program. They need no build and load nothing from elsewhere.

/// A file of the page.
pub struct PageFile {
    /// Its path on the server.
    pub path: &'static str,
    /// Its media type.
    pub media: &'static str,
    /// Its content.
    pub content: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// All files of the page.
pub const FILES: &[PageFile] = &[
    PageFile { path: "/", media: "text/html; charset=utf-8", content: include_str!("page/index.html") },
    PageFile { path: "/page.css", media: "text/css; charset=utf-8", content: include_str!("page/page.css") },
    PageFile { path: "/icon.svg", media: "image/svg+xml", content: include_str!("page/icon.svg") },
    PageFile { path: "/page.js", media: SCRIPT, content: include_str!("page/page.js") },
    PageFile { path: "/batch.js", media: SCRIPT, content: include_str!("page/batch.js") },
    PageFile { path: "/server.js", media: SCRIPT, content: include_str!("page/server.js") },
    PageFile { path: "/form.js", media: SCRIPT, content: include_str!("page/form.js") },
    PageFile { path: "/fields.js", media: SCRIPT, content: include_str!("page/fields.js") },
    PageFile { path: "/graph.js", media: SCRIPT, content: include_str!("page/graph.js") },
    PageFile { path: "/cells.js", media: SCRIPT, content: include_str!("page/cells.js") },
    PageFile { path: "/runs.js", media: SCRIPT, content: include_str!("page/runs.js") },
    PageFile { path: "/dom.js", media: SCRIPT, content: include_str!("page/dom.js") },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_no_other_place() {
        for file in FILES {
            let elsewhere = file.content.replace("http://www.w3.org/", "");
            assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "{}", file.path);
            assert!(!file.content.contains("style=\"") && !file.content.contains(" onclick="), "{}", file.path);
        }
    }
}
