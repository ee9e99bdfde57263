//! Server-sent events of a run.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json as value};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::App;
use super::runs::{described, find};
use crate::api_error::ApiError;
use crate::live::{Following, RunEvent};
use crate::store::RunState;

/// Time between two looks at the place in the queue.
const PLACE_TIME: Duration = Duration::from_secs(1);

/// One follower.
struct Follower {
    app: Arc<App>,
    id: String,
    /// Events to send before further ones are received.
    waiting: VecDeque<Arc<RunEvent>>,
    /// `None` once the run is over.
    events: Option<Receiver<Arc<RunEvent>>>,
    /// The place in the queue that was sent last.
    place: Option<u64>,
    is_over: bool,
}

/// `GET /v1/runs/{id}/events`: the state now, what happens, and `done` with the run at its end.
pub async fn events(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    // Followed before it is read, so that its end is in one of both.
    let followed = app.queue.queue.live.follow(&id);
    let run = find(&app, &id)?;
    let mut waiting = VecDeque::from([event("state", value!({"state": run.state.word()}))]);
    let followed = followed.filter(|_| !run.state.is_end());
    let events = followed.map(|Following { last, events }| {
        waiting.extend(last);
        events
    });
    let follower = Follower { app, id, waiting, events, place: None, is_over: false };
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

impl Follower {
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
                let run = find(&self.app, &self.id).ok()?;
                return Some(event("done", described(&self.app, &run).ok()?));
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
        let store = &self.app.queue.queue.store;
        let run = store.get(&self.id).ok().flatten().filter(|run| run.state == RunState::Queued)?;
        let place = store.waiting_before(run.place).ok()? + 1;
        let is_new = self.place.replace(place) != Some(place);
        is_new.then(|| event("queue", value!({ "place": place })))
    }
}
