//! The agent's DNS listener: names of nodes and services, answered as Consul answers them.
//!
//! A question's life: [`listen`] takes it off the wire, [`request`] reads it, [`question`] turns its name into a typed
//! question, [`resolve`] looks things up behind the agent's [`Backend`](crate::backend::Backend), [`answer`] builds the
//! records, [`size`] cuts them to what the transport carries, [`encode`] writes the reply. Long answers are kept ([`ready`]). Names of other domains go to
//! the recursors ([`recurse`]).
//!
//! hickory's types (names, records, the decoder) stay inside this folder.

mod address;
mod answer;
mod datagram;
mod encode;
mod figures;
mod listen;
mod options;
mod question;
mod ready;
mod recurse;
mod request;
mod resolve;
mod settings;
mod size;

pub use listen::{Listeners, serve};
pub use recurse::{BadRecursor, find_recursors};
pub use settings::{BadDomain, Domain, RecursorStrategy, Settings, Soa};

/// Answers one message without a socket, as the UDP listener would; `None` where it stays silent. For fuzzing.
#[cfg(fuzzing)]
pub async fn answer_message(
    message: &[u8],
    settings: std::sync::Arc<Settings>,
    backend: std::sync::Arc<dyn crate::backend::Backend>,
) -> Option<Vec<u8>> {
    let client = std::net::SocketAddr::from(([127, 0, 0, 1], 5353));
    match request::read(message) {
        request::Received::Question(question) => {
            let resolver = resolve::Resolver::new(backend, settings);
            Some(resolver.reply(&question, size::Transport::Udp, client).await)
        }
        request::Received::Refusal(reply) => Some(reply),
        request::Received::Silence => None,
    }
}
