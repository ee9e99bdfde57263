//! A store in memory whose requests fail as a test wants.

use std::fmt::{Display, Formatter};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::Address;

/// What is wrong with a request.
pub(crate) enum Fault {
    /// It is not carried out.
    Fails(Error),
    /// It is carried out, and its answer is lost.
    Loses(Error),
}

/// The fault of a request, such as `create a/b`, and how many there were before.
pub(crate) type Rule = fn(&str, usize) -> Option<Fault>;

#[derive(Debug)]
pub(crate) struct Faulty {
    inner: InMemory,
    rule: Rule,
    requests: Mutex<Vec<String>>,
}

impl Faulty {
    pub(crate) fn new(rule: Rule) -> Arc<Faulty> {
        Arc::new(Faulty { inner: InMemory::new(), rule, requests: Mutex::default() })
    }

    pub(crate) fn address(self: &Arc<Self>, name: &str) -> Address {
        Address::in_store(self.clone(), name)
    }

    /// The requests so far: `create`, `put`, `multipart`, `get` with their keys.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    async fn answer<T>(&self, kind: &str, key: &Key, request: impl Future<Output = Result<T>>) -> Result<T> {
        match self.fault(format!("{kind} {key}")) {
            None => request.await,
            Some(Fault::Fails(error)) => Err(error),
            Some(Fault::Loses(error)) => request.await.and(Err(error)),
        }
    }

    fn fault(&self, request: String) -> Option<Fault> {
        let mut requests = self.requests.lock().unwrap();
        let fault = (self.rule)(&request, requests.len());
        requests.push(request);
        fault
    }
}

/// An error that may pass.
pub(crate) fn passing() -> Error {
    Error::Generic { store: "test", source: "no answer".into() }
}

impl Display for Faulty {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("faulty")
    }
}

// The trait is made by `async_trait`; this is what it stands for.
impl ObjectStore for Faulty {
    fn put_opts<'s, 'k, 'f>(
        &'s self,
        key: &'k Key,
        content: PutPayload,
        options: PutOptions,
    ) -> BoxFuture<'f, Result<PutResult>>
    where
        's: 'f,
        'k: 'f,
    {
        let kind = if options.mode == PutMode::Create { "create" } else { "put" };
        Box::pin(self.answer(kind, key, self.inner.put_opts(key, content, options)))
    }

    fn put_multipart_opts<'s, 'k, 'f>(
        &'s self,
        key: &'k Key,
        options: PutMultipartOptions,
    ) -> BoxFuture<'f, Result<Box<dyn MultipartUpload>>>
    where
        's: 'f,
        'k: 'f,
    {
        Box::pin(self.answer("multipart", key, self.inner.put_multipart_opts(key, options)))
    }

    fn get_opts<'s, 'k, 'f>(&'s self, key: &'k Key, options: GetOptions) -> BoxFuture<'f, Result<GetResult>>
    where
        's: 'f,
        'k: 'f,
    {
        Box::pin(self.answer("get", key, self.inner.get_opts(key, options)))
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Key>>) -> BoxStream<'static, Result<Key>> {
        self.inner.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_delimiter<'s, 'k, 'f>(&'s self, prefix: Option<&'k Key>) -> BoxFuture<'f, Result<ListResult>>
    where
        's: 'f,
        'k: 'f,
    {
        self.inner.list_with_delimiter(prefix)
    }

    fn copy_opts<'s, 'k, 'n, 'f>(
        &'s self,
        from: &'k Key,
        to: &'n Key,
        options: CopyOptions,
    ) -> BoxFuture<'f, Result<()>>
    where
        's: 'f,
        'k: 'f,
        'n: 'f,
    {
        self.inner.copy_opts(from, to, options)
    }
}
