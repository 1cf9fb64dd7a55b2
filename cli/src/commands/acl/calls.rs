//! The calls that each group makes alike: write one, delete one, list all.

use daemon::Exit;
use registry_client::{Client, Request};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    client::{AskFlags, succeed},
    output::{failure, show},
};

/// Writes one, and gives what it has become; `wrong` begins what is said when that fails.
pub(super) async fn put<T: Serialize + DeserializeOwned>(
    client: &Client,
    ask: &AskFlags,
    path: &str,
    sent: &T,
    wrong: &str,
) -> Result<T, String> {
    let body = serde_json::to_vec(sent).expect("what is sent is plain data");
    client.json(&ask.apply(Request::put(path, body))).await.map_err(|e| format!("{wrong}: {e}"))
}

/// Deletes the one of this id, and says so; `what` is what the user calls it, such as `Policy`.
pub(super) async fn delete(client: &Client, ask: &AskFlags, path: &str, id: &str, what: &str) -> Exit {
    match succeed(client, &ask.apply(Request::delete(Request::path_to(path, id)))).await {
        Ok(_) => show(ask.json(), &json!({ "ID": id, "Deleted": true }), || {
            format!("{what} {id:?} deleted successfully")
        }),
        Err(e) => failure(format!("Error deleting {} {id:?}: {e}", what.to_lowercase())),
    }
}

/// All that a request finds; `what` is what the user calls one, such as `policy`.
pub(super) async fn list<T: DeserializeOwned>(
    client: &Client,
    ask: &AskFlags,
    request: Request,
    what: &str,
) -> Result<Vec<T>, String> {
    let listed = client.json(&ask.apply(request)).await;
    listed.map_err(|e| format!("Failed to retrieve the {what} list: {e}"))
}
