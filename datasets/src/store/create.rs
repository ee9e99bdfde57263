//! Puts an object only if there is none: the one operation of a store on which commits rest.

use std::time::Duration;

use bytes::Bytes;
use object_store::{Error, PutMode, PutOptions};

use super::address::Address;
use super::error::{failed, reason};
use crate::error::{DatasetError, Result};

/// Tries of a put whose outcome is unknown, because the answer was lost or another put was under way.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The result of [`Address::create`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// The object has this content: this call made it, or an earlier try whose answer was lost, or an equal writer.
    Ours,
    /// The object was there with other content.
    Theirs(Bytes),
}

impl Address {
    /// Makes an object unless there is one, once. Returns false if there is one.
    ///
    /// # Errors
    /// [`DatasetError::NoConditionalPut`] if the store cannot do it; [`DatasetError::Store`] if the outcome is unknown.
    pub(crate) fn try_create(&self, content: &Bytes) -> Result<bool> {
        match self.put_new(content)? {
            Ok(()) => Ok(true),
            Err(Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Makes an object unless there is one. A lost answer does not matter: the content tells whose object it is.
    ///
    /// # Errors
    /// As [`Address::try_create`].
    pub(crate) fn create(&self, content: impl Into<Bytes>) -> Result<Created> {
        let content: Bytes = content.into();
        let mut pause = FIRST_PAUSE;
        for left in (0..TRIES).rev() {
            match self.put_new(&content)? {
                Ok(()) => return Ok(Created::Ours),
                Err(Error::AlreadyExists { .. }) => match self.read()? {
                    Some(found) if found == content => return Ok(Created::Ours),
                    Some(found) => return Ok(Created::Theirs(found)),
                    // Somebody removed it in between.
                    None => {}
                },
                Err(error) if left == 0 || is_final(&error) => return Err(self.refused(error)),
                Err(_) => {}
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
        let reason = "it is made and removed again by another process".into();
        Err(DatasetError::Store { path: self.shown.clone(), action: "write", reason })
    }

    fn put_new(&self, content: &Bytes) -> Result<object_store::Result<()>> {
        let Address { client, key, .. } = self.clone();
        let content = content.clone();
        let options = PutOptions::from(PutMode::Create);
        self.wait("write", async move { client.put_opts(&key, content.into(), options).await.map(drop) })
    }

    fn refused(&self, error: Error) -> DatasetError {
        let text = reason(&error);
        let is_unknown = matches!(error, Error::NotImplemented { .. } | Error::NotSupported { .. });
        // Some stores name the header that they do not know.
        if is_unknown || text.contains("NotImplemented") {
            return DatasetError::NoConditionalPut { path: self.shown.clone(), reason: text };
        }
        failed(&self.shown, "write", error)
    }
}

/// True if another try would end alike.
fn is_final(error: &Error) -> bool {
    matches!(
        error,
        Error::NotImplemented { .. }
            | Error::NotSupported { .. }
            | Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::NotFound { .. }
            | Error::InvalidPath { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::faulty::{Fault, Faulty, passing};

    #[test]
    fn the_first_writer_wins_and_equal_writers_agree() {
        let record = Address::in_memory("commits/00000.json");
        assert_eq!(record.create("one").unwrap(), Created::Ours);
        assert_eq!(record.create("one").unwrap(), Created::Ours, "as after a lost answer");
        assert_eq!(record.create("two").unwrap(), Created::Theirs("one".into()));
        assert!(!record.try_create(&"one".into()).unwrap());
        record.remove().unwrap();
        record.remove().unwrap();
        assert!(record.try_create(&"two".into()).unwrap());
        assert_eq!(record.read().unwrap().unwrap(), "two");
    }
    #[test]
    fn what_may_pass_is_tried_again() {
        let store = Faulty::new(|_, before| (before < 2).then(|| Fault::Fails(passing())));
        assert_eq!(store.address("a").create("one").unwrap(), Created::Ours);
        assert_eq!(store.requests(), ["create a"; 3]);
        let store = Faulty::new(|_, before| (before == 0).then(|| Fault::Loses(passing())));
        assert_eq!(store.address("a").create("one").unwrap(), Created::Ours);
        assert_eq!(store.requests(), ["create a", "create a", "get a"]);
        let taken = |request: &str, before| {
            let error = || Error::AlreadyExists { path: "a".into(), source: "test".into() };
            (request == "create a" && before == 0).then(|| Fault::Fails(error()))
        };
        let store = Faulty::new(taken);
        assert_eq!(store.address("a").create("one").unwrap(), Created::Ours, "removed in between");
        assert_eq!(store.requests(), ["create a", "get a", "create a"]);
    }

    #[test]
    fn what_stays_is_an_error_at_once() {
        let refusal = |rule| {
            let store = Faulty::new(rule);
            let error = store.address("a").create("one").unwrap_err();
            assert_eq!(store.requests(), ["create a"]);
            assert_eq!(store.address("a").try_create(&"one".into()).unwrap_err().to_string(), error.to_string());
            error
        };
        let error = refusal(|_, _| {
            Some(Fault::Fails(Error::NotImplemented { operation: "put".into(), implementer: "test".into() }))
        });
        assert!(matches!(error, DatasetError::NoConditionalPut { .. }), "{error}");
        let error = refusal(|_, _| Some(Fault::Fails(Error::NotSupported { source: "test".into() })));
        assert!(matches!(error, DatasetError::NoConditionalPut { .. }), "{error}");
        let error =
            refusal(|_, _| Some(Fault::Fails(Error::PermissionDenied { path: "a".into(), source: "test".into() })));
        assert!(matches!(error, DatasetError::Denied { .. }), "{error}");
        let unknown = || Error::Generic { store: "S3", source: "<Code>NotImplemented</Code>".into() };
        let store = Faulty::new(|_, _| None);
        let error = store.address("a").refused(unknown());
        assert!(matches!(error, DatasetError::NoConditionalPut { .. }), "{error}");
        assert!(matches!(store.address("a").refused(passing()), DatasetError::Store { .. }));
    }
}
