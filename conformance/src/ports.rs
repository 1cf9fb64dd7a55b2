//! Free ports on loopback.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    net::{TcpListener, UdpSocket},
    sync::atomic::{AtomicU32, Ordering},
};

/// The block of ports handed out last; starts at a random one, so that two runs at once rarely meet.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Below the ephemeral ports, which outgoing connections take at any time.
const FIRST: u32 = 20_000;
const BLOCK: u32 = 10;
const BLOCKS: u32 = 1_200;

/// Ten ports in a row that were free for TCP and UDP a moment ago, and that no other call of this process got.
pub fn block() -> [u16; BLOCK as usize] {
    loop {
        if NEXT.load(Ordering::Relaxed) == 0 {
            let seed = RandomState::new().hash_one(std::process::id()) as u32;
            let _ = NEXT.compare_exchange(0, 1 + seed % BLOCKS, Ordering::Relaxed, Ordering::Relaxed);
        }
        let first = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % BLOCKS * BLOCK;
        let ports = std::array::from_fn(|i| u16::try_from(first).expect("blocks end below 65536") + i as u16);
        if ports.iter().all(|port| is_free(*port)) {
            return ports;
        }
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_port_is_handed_out_twice() {
        let (a, b) = (super::block(), super::block());
        assert!(a.iter().all(|port| !b.contains(port)));
    }
}
