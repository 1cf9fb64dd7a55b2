//! The status page while the configuration changes: it moves when its address does.

use std::sync::Arc;

use super::{Address, Board, Serving, serve};

/// The page of a watcher that may have none.
#[derive(Default)]
pub(crate) struct Page {
    board: Option<Arc<Board>>,
    serving: Option<(String, Serving)>,
}

impl Page {
    /// Answers at this address from now on, or nowhere; a board that is new must be told what happens.
    ///
    /// Errors when the address cannot be listened on; then the page stays where it was.
    pub(crate) async fn follow(&mut self, address: Option<&str>) -> Result<Option<Arc<Board>>, String> {
        if self.serving.as_ref().map(|(known, _)| known.as_str()) == address {
            return Ok(None);
        }
        let Some(address) = address else {
            self.serving = None;
            return Ok(None);
        };
        let (board, is_new) = match &self.board {
            Some(board) => (Arc::clone(board), false),
            None => (Arc::new(Board::new()), true),
        };
        let serving = serve(&Address::parse(address)?, Arc::clone(&board)).await?;
        self.serving = Some((address.to_owned(), serving));
        self.board = Some(Arc::clone(&board));
        Ok(is_new.then_some(board))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_page_moves_and_stays_where_it_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| format!("unix://{}", folder.path().join(name).display());
        let there = |name: &str| std::os::unix::net::UnixStream::connect(folder.path().join(name)).is_ok();
        let mut page = Page::default();
        assert!(page.follow(Some(&at("a"))).await.unwrap().is_some(), "the board is new");
        assert!(page.follow(Some(&at("b"))).await.unwrap().is_none(), "the board knows already");
        assert!(there("b") && !there("a"));
        assert!(page.follow(Some(&at("no/c"))).await.is_err());
        assert!(there("b"));
        assert!(page.follow(None).await.unwrap().is_none());
        assert!(!there("b"));
    }
}
