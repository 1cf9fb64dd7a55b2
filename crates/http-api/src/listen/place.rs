//! Where a listener is: addresses and unix sockets, and how they are bound.

use std::{
    fmt, fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::PathBuf,
    time::Duration,
};

use daemon::Shutdown;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, UnixListener},
    time::sleep,
};

/// Connections that may wait to be accepted; the system may hold it lower.
const BACKLOG: i32 = 4096;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address; `[::]` takes IPv4 clients too, and `0.0.0.0` IPv6 clients unless the port is taken there.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(UnixPlace),
}

/// A unix socket and who may use it: `unix:///run/ryo.sock`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnixPlace {
    /// The socket's path; a socket there that nobody listens on is replaced, anything else is not.
    pub path: PathBuf,
    /// `unix_sockets.mode`, as 0o770.
    pub mode: Option<u32>,
    /// `unix_sockets.user`, as a number.
    pub user: Option<u32>,
    /// `unix_sockets.group`, as a number.
    pub group: Option<u32>,
}

/// Why a listener cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// In use, not allowed, or the like.
    #[error("cannot listen on {place}: {source}")]
    Refused {
        /// Where.
        place: Place,
        /// What the system says.
        source: io::Error,
    },
    /// The end was asked for while the address was not there.
    #[error("stopped waiting for the address {0}, which this machine does not have")]
    Stopped(SocketAddr),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(unix) => write!(f, "unix://{}", unix.path.display()),
        }
    }
}

impl Place {
    /// Takes a unix socket's file away once nobody listens on it.
    pub(super) fn remove(&self) {
        if let Self::Unix(unix) = self {
            // Nobody needs the file any more; the next start replaces it if it stays.
            let _ = fs::remove_file(&unix.path);
        }
    }
}

/// Binds an address; waits while this machine does not have it.
pub(super) async fn bind_tcp(address: SocketAddr, shutdown: &Shutdown) -> Result<TcpListener, BindError> {
    let mut waiting = false;
    loop {
        match try_bind(address) {
            Ok(listener) => {
                if waiting {
                    tracing::info!(target: "agent.http", %address, "the address is there now");
                }
                return Ok(listener);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                if !waiting {
                    tracing::warn!(target: "agent.http", %address, "this machine does not have the address yet: waiting");
                }
                waiting = true;
            }
            Err(source) => return Err(BindError::Refused { place: Place::Tcp(address), source }),
        }
        tokio::select! {
            () = sleep(Duration::from_millis(500)) => {}
            () = shutdown.requested() => return Err(BindError::Stopped(address)),
        }
    }
}

/// `0.0.0.0` means the machine's IPv6 addresses too where that can be had, as it does in Consul.
fn try_bind(address: SocketAddr) -> io::Result<TcpListener> {
    if address.ip() == Ipv4Addr::UNSPECIFIED
        && let Ok(bound) = try_family((Ipv6Addr::UNSPECIFIED, address.port()).into())
    {
        return Ok(bound);
    }
    try_family(address)
}

fn try_family(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Binds a unix socket with its mode and owner.
pub(super) fn bind_unix(unix: &UnixPlace) -> Result<UnixListener, BindError> {
    let refused = |source| BindError::Refused { place: Place::Unix(unix.clone()), source };
    if fs::symlink_metadata(&unix.path).is_ok_and(|m| m.file_type().is_socket()) {
        // Left over by a program that was killed; one that still listens would lose its clients without knowing.
        if std::os::unix::net::UnixStream::connect(&unix.path).is_ok() {
            let used = io::Error::new(io::ErrorKind::AddrInUse, "another program listens there");
            return Err(refused(used));
        }
        fs::remove_file(&unix.path).map_err(refused)?;
    }
    let listener = UnixListener::bind(&unix.path).map_err(refused)?;
    if let Some(mode) = unix.mode {
        fs::set_permissions(&unix.path, fs::Permissions::from_mode(mode)).map_err(refused)?;
    }
    if unix.user.is_some() || unix.group.is_some() {
        std::os::unix::fs::chown(&unix.path, unix.user, unix.group).map_err(refused)?;
    }
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpStream, os::unix::fs::MetadataExt};

    use super::*;

    #[tokio::test]
    async fn a_socket_that_nobody_listens_on_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        let own = fs::metadata(folder.path()).unwrap();
        let place = UnixPlace {
            path: path.clone(),
            mode: Some(0o640),
            user: Some(own.uid()),
            group: Some(own.gid()),
        };
        // As `kill -9` leaves it.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let live = bind_unix(&place).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        let refused = bind_unix(&place).unwrap_err().to_string();
        assert!(refused.contains("another program listens there"), "{refused}");
        std::os::unix::net::UnixStream::connect(&path).unwrap();
        drop(live);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "a file").unwrap();
        bind_unix(&place).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"a file");
    }

    #[tokio::test]
    async fn all_ipv4_addresses_are_all_ipv6_addresses_too() {
        let listener = try_bind((Ipv4Addr::UNSPECIFIED, 0).into()).unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        }
        // Where the port is taken for IPv6, the other addresses are still served.
        let Ok(taken) = try_family((Ipv6Addr::LOCALHOST, 0).into()) else { return };
        let port = taken.local_addr().unwrap().port();
        let _listener = try_bind((Ipv4Addr::UNSPECIFIED, port).into()).unwrap();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    }
}
