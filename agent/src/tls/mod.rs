//! TLS: which library does it.

use std::sync::Once;

/// Chooses ring for all of this process that does not choose for itself; to be called before reqwest is.
pub(crate) fn choose_provider() {
    static CHOSEN: Once = Once::new();
    // Another part of the program may have chosen already; any will do.
    CHOSEN.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}
