//! Server-sent events of runs and jobs.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json as value};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::api_error::ApiError;
use crate::live::{Following, Live, RunEvent};
use crate::state::RunState;

/// Time between two looks at the place in the queue.
const PLACE_TIME: Duration = Duration::from_secs(1);

/// What can be followed: runs, or jobs.
pub trait EventSource: Send + Sync + 'static {
    /// What followers hear.
    fn live(&self) -> &Live;

    /// The state of one.
    ///
    /// # Errors
    /// There is none of this id.
    fn state(&self, id: &str) -> Result<RunState, ApiError>;

    /// One as JSON.
    ///
    /// # Errors
    /// As [`EventSource::state`].
    fn described(&self, id: &str) -> Result<Value, ApiError>;

    /// The place in the queue of one that waits.
    fn place(&self, id: &str) -> Option<u64>;
}

/// One follower.
struct Follower<F> {
    of: F,
    id: String,
    /// Events to send before further ones are received.
    waiting: VecDeque<Arc<RunEvent>>,
    /// `None` once it is over.
    events: Option<Receiver<Arc<RunEvent>>>,
    /// The place in the queue that was sent last.
    place: Option<u64>,
    is_over: bool,
}

/// The events of one: its state now, what happens, and `done` at its end.
///
/// # Errors
/// There is none of this id.
pub fn events<F: EventSource>(of: F, id: String) -> Result<Response, ApiError> {
    // Followed before it is read, so that its end is in one of both.
    let followed = of.live().follow(&id);
    let state = of.state(&id)?;
    let mut waiting = VecDeque::from([event("state", value!({"state": state.word()}))]);
    let followed = followed.filter(|_| !state.is_end());
    let events = followed.map(|Following { last, events }| {
        waiting.extend(last);
        events
    });
    let follower = Follower { of, id, waiting, events, place: None, is_over: false };
    let stream = stream::unfold(follower, |mut follower| async move {
        let told = follower.next().await?;
        let event = Event::default().event(told.name).data(told.data.to_string());
        Some((Ok::<_, Infallible>(event), follower))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()).into_response())
}

fn event(name: &'static str, data: Value) -> Arc<RunEvent> {
    Arc::new(RunEvent { name, data })
}

impl<F: EventSource> Follower<F> {
    async fn next(&mut self) -> Option<Arc<RunEvent>> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.is_over {
                return None;
            }
            let Some(events) = &mut self.events else {
                self.is_over = true;
                return Some(event("done", self.of.described(&self.id).ok()?));
            };
            match tokio::time::timeout(PLACE_TIME, events.recv()).await {
                Ok(Ok(event)) => return Some(event),
                // A slow follower missed events; the next ones are as good.
                Ok(Err(RecvError::Lagged(_))) => {}
                Ok(Err(RecvError::Closed)) => self.events = None,
                Err(_) => {
                    if let Some(event) = self.place() {
                        return Some(event);
                    }
                }
            }
        }
    }

    /// The place in the queue, if it is another one than before.
    fn place(&mut self) -> Option<Arc<RunEvent>> {
        let place = self.of.place(&self.id)?;
        let is_new = self.place.replace(place) != Some(place);
        is_new.then(|| event("queue", value!({ "place": place })))
    }
}
