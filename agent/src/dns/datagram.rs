//! A UDP socket that answers from the address it was asked at.
//!
//! A socket on a whole machine's addresses would let the kernel choose the sender of a reply by its route: a client that
//! asked another address of the machine drops such a reply. So the address of each question is taken along
//! (`IP_PKTINFO`, RFC 3542 §6) and given as the sender of its reply.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd,
};

use nix::{
    cmsg_space, libc,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
        sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo},
    },
};
use tokio::{io::Interest, net::UdpSocket};

/// A bound socket.
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UdpSocket,
    /// Whether the socket has more than one address.
    wildcard: bool,
}

/// Who asked, and at which of our addresses, if there is a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) client: SocketAddr,
    own: Option<IpAddr>,
}

impl Datagrams {
    /// Takes a bound socket. Errors when the system refuses to tell addresses.
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        let bound = socket.local_addr()?;
        let wildcard = bound.ip().is_unspecified();
        if wildcard && bound.is_ipv4() {
            setsockopt(&socket, Ipv4PacketInfo, &true)?;
        } else if wildcard {
            setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
        }
        Ok(Self { socket, wildcard })
    }

    /// Waits until there is something to receive.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// The next datagram's length and sender; `WouldBlock` when there is none.
    pub(super) fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Peer)> {
        if !self.wildcard {
            let (length, client) = self.socket.try_recv_from(buffer)?;
            return Ok((length, Peer { client, own: None }));
        }
        self.socket.try_io(Interest::READABLE, || receive(&self.socket, buffer))
    }

    /// Sends a reply if there is room for it, from the address that was asked.
    pub(super) fn try_send(&self, reply: &[u8], to: Peer) -> io::Result<()> {
        let Some(own) = to.own else { return self.socket.try_send_to(reply, to.client).map(drop) };
        self.socket.try_io(Interest::WRITABLE, || send(&self.socket, reply, to.client, own))
    }
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, Peer)> {
    let mut control = cmsg_space!(libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::MSG_DONTWAIT,
    )?;
    let client = message.address.as_ref().and_then(address).ok_or(io::ErrorKind::InvalidData)?;
    let own = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::V4(info.ipi_spec_dst.s_addr.to_be().into()))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::V6(info.ipi6_addr.s6_addr.into())),
        _ => None,
    });
    Ok((message.bytes, Peer { client, own }))
}

fn send(socket: &UdpSocket, reply: &[u8], client: SocketAddr, own: IpAddr) -> io::Result<()> {
    let parts = [IoSlice::new(reply)];
    let (v4, v6);
    let from = match own {
        IpAddr::V4(ip) => {
            let source = libc::in_addr { s_addr: u32::from(ip).to_be() };
            let unset = libc::in_addr { s_addr: 0 };
            v4 = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: unset };
            ControlMessage::Ipv4PacketInfo(&v4)
        }
        IpAddr::V6(ip) => {
            v6 = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: ip.octets() },
                ipi6_ifindex: scope(client, ip),
            };
            ControlMessage::Ipv6PacketInfo(&v6)
        }
    };
    let to = SockaddrStorage::from(client);
    sendmsg(socket.as_raw_fd(), &parts, &[from], MsgFlags::MSG_DONTWAIT, Some(&to))?;
    Ok(())
}

/// The interface that a link-local address belongs to; others have none.
fn scope(client: SocketAddr, own: Ipv6Addr) -> u32 {
    match client {
        SocketAddr::V6(client) if own.is_unicast_link_local() => client.scope_id(),
        _ => 0,
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|at| SocketAddrV4::from(*at).into());
    v4.or_else(|| storage.as_sockaddr_in6().map(|at| SocketAddrV6::from(*at).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks at this address, and gives back where the reply came from.
    async fn reply_from(listener: &str, asked: &str) -> SocketAddr {
        let bound = UdpSocket::bind(listener).await.unwrap();
        let port = bound.local_addr().unwrap().port();
        let datagrams = Datagrams::new(bound).unwrap();
        let any = if asked.contains(':') { "[::1]:0" } else { "127.0.0.1:0" };
        let client = UdpSocket::bind(any).await.unwrap();
        client.send_to(b"?", (asked, port)).await.unwrap();
        let mut buffer = [0; 16];
        let (length, peer) = loop {
            datagrams.readable().await.unwrap();
            match datagrams.try_receive(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => break received.unwrap(),
            }
        };
        assert_eq!(&buffer[..length], b"?");
        datagrams.try_send(b"!", peer).unwrap();
        client.recv_from(&mut buffer).await.unwrap().1
    }

    #[tokio::test]
    async fn a_reply_comes_from_the_address_that_was_asked() {
        for (listener, asked) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("0.0.0.0:0", "127.0.0.3"),
            ("[::]:0", "127.0.0.3"),
            ("[::]:0", "::1"),
        ] {
            let from = reply_from(listener, asked).await;
            assert_eq!(from.ip(), asked.parse::<IpAddr>().unwrap(), "{listener}");
        }
    }
}
