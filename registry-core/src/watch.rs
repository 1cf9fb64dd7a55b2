//! Who waits for which part of the state.
//!
//! Each topic that somebody waits for has one channel, whoever and how many they are; it goes with its last waiter.
//! Subscribe first, look at the state then: a change after the subscription is never missed, whatever the look saw.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::Poll,
};

use registry_state::{Interests, Topic, Topics};
use tokio::sync::watch;

/// The topics that somebody waits for.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Mutex<Interests<Channel>>>);

/// Counts the changes of one topic while somebody waits for it.
#[derive(Debug)]
struct Channel(watch::Sender<u64>);

impl Default for Channel {
    fn default() -> Self {
        Self(watch::channel(0).0)
    }
}

impl Channel {
    fn count(&self) {
        self.0.send_modify(|changes| *changes += 1);
    }
}

impl Watch {
    /// Starts to count the changes of these topics.
    pub fn subscribe(&self, topics: Vec<Topic>) -> Subscription {
        let mut interests = self.interests();
        let subscribed = topics.into_iter().map(|topic| {
            let receiver = interests.entry(&topic).0.subscribe();
            (topic, receiver)
        });
        Subscription { topics: subscribed.collect(), watch: self.clone() }
    }

    /// Wakes everyone who waits for one of these.
    pub(crate) fn wake(&self, topics: &Topics) {
        if !topics.is_empty() {
            self.interests().woken_by(topics, Channel::count);
        }
    }

    /// Wakes everyone: the whole state was replaced.
    pub(crate) fn wake_all(&self) {
        self.interests().all().for_each(Channel::count);
    }

    /// How many topics are waited for.
    pub fn topics(&self) -> usize {
        self.interests().len()
    }

    fn interests(&self) -> MutexGuard<'_, Interests<Channel>> {
        self.0.lock().expect("nobody panics while holding the table of topics")
    }
}

/// The topics that one question depends on. Ends with its drop.
#[derive(Debug)]
pub struct Subscription {
    topics: Vec<(Topic, watch::Receiver<u64>)>,
    watch: Watch,
}

impl Subscription {
    /// How often any of the topics has changed: the same number means that the same look finds the same.
    pub fn version(&self) -> u64 {
        self.topics.iter().map(|(_, changes)| *changes.borrow()).sum()
    }

    /// Waits for changes after this call, or after the last return.
    pub fn listen(&self) -> Listener {
        Listener(self.topics.iter().map(|(_, changes)| changes.clone()).collect())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut interests = self.watch.interests();
        for (topic, receiver) in self.topics.drain(..) {
            drop(receiver);
            if interests.get(&topic).is_some_and(|channel| channel.0.receiver_count() == 0) {
                interests.remove(&topic);
            }
        }
    }
}

/// One waiter on a [`Subscription`].
#[derive(Clone, Debug)]
pub struct Listener(Vec<watch::Receiver<u64>>);

impl Listener {
    /// Marks all that has happened as seen; call it before a look.
    pub fn seen(&mut self) {
        self.0.iter_mut().for_each(watch::Receiver::mark_unchanged);
    }

    /// Returns once a topic has changed since it was last seen. Never, for a question without topics.
    pub async fn changed(&mut self) {
        match self.0.as_mut_slice() {
            [] => std::future::pending().await,
            [one] => closed_never(one).await,
            many => {
                let mut waits: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = Vec::new();
                waits.extend(many.iter_mut().map(|one| Box::pin(closed_never(one)) as _));
                std::future::poll_fn(|cx| {
                    let ready = waits.iter_mut().any(|wait| wait.as_mut().poll(cx).is_ready());
                    if ready { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
        }
    }
}

/// Waits for one topic; its channel outlives every subscription to it.
async fn closed_never(receiver: &mut watch::Receiver<u64>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
