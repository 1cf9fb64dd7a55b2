//! Programs that a daemon runs: in a process group of their own, with bounded output, and never left behind.

use std::{
    io,
    process::{ExitStatus, Stdio},
};

use process_wrap::tokio::{CommandWrap, KillOnDrop, ProcessGroup};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::unix::pipe,
    sync::mpsc,
};

use crate::Tail;

/// A program and what it is given.
#[derive(Clone, Copy, Debug)]
pub struct Child<'a> {
    /// The program and its words, run without a shell: `["/bin/sh", "-c", "exit 1"]`.
    pub args: &'a [String],
    /// Variables beside those of this process.
    pub variables: &'a [(&'a str, String)],
    /// Its standard input; it need not read it.
    pub input: &'a [u8],
}

impl Child<'_> {
    /// Runs the program until it ends and nobody holds its output any more; both streams go to `said`, as they come.
    ///
    /// Dropping the future kills the program with all its children. Errors when it cannot be started; [`reason`] has Go's
    /// words for that.
    pub async fn run(&self, said: &mut Tail) -> io::Result<ExitStatus> {
        self.run_for(Hearer::End(said)).await
    }

    /// The same, and what the program says goes to `pieces` as it comes, at most 4 kB each. A full queue holds the program up;
    /// once nobody listens, the rest is thrown away.
    pub async fn run_into(&self, pieces: &mpsc::Sender<Vec<u8>>) -> io::Result<ExitStatus> {
        self.run_for(Hearer::Pieces(pieces)).await
    }

    async fn run_for(&self, hearer: Hearer<'_>) -> io::Result<ExitStatus> {
        let (program, args) = self.args.split_first().ok_or_else(|| io::Error::other("no program"))?;
        let input = if self.input.is_empty() { Stdio::null() } else { Stdio::piped() };
        let variables = self.variables.iter().map(|(name, value)| (*name, value));
        // One pipe for both streams, or their order would be lost.
        let (heard, own) = io::pipe()?;
        let both = own.try_clone()?;
        let mut child = CommandWrap::with_new(program, |command| {
            command.args(args).envs(variables).stdin(input).stdout(own).stderr(both);
        })
        .wrap(ProcessGroup::leader())
        .wrap(KillOnDrop)
        .spawn()?;
        let stdin = child.stdin().take();
        let mut guard = Group(child);
        let heard = pipe::Receiver::from_owned_fd(heard.into())?;
        // Together: a program that first speaks and then reads would wait for ever otherwise.
        tokio::join!(feed(stdin, self.input), listen(heard, hearer)).1?;
        guard.0.wait().await
    }
}

/// The words that run a line by the user's shell, `$SHELL`, else `/bin/sh`.
pub fn by_shell(line: &str) -> Vec<String> {
    let shell = std::env::var("SHELL").ok().filter(|shell| !shell.is_empty());
    vec![shell.unwrap_or_else(|| "/bin/sh".into()), "-c".into(), line.to_owned()]
}

/// Why a program did not start, in Go's words: `fork/exec /no/such: no such file or directory`.
pub fn reason(program: &str, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::NotFound if !program.contains('/') => {
            return format!("exec: {program:?}: executable file not found in $PATH");
        }
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    format!("fork/exec {program}: {why}")
}

/// Who listens to a program.
enum Hearer<'a> {
    /// Somebody who keeps its last words.
    End(&'a mut Tail),
    /// Somebody who takes all of it, at his own pace.
    Pieces(&'a mpsc::Sender<Vec<u8>>),
}

impl Hearer<'_> {
    async fn hear(&mut self, bytes: &[u8]) {
        match self {
            Self::End(said) => said.push(bytes),
            // Whoever has gone needs nothing more; the program goes on.
            Self::Pieces(pieces) => _ = pieces.send(bytes.to_vec()).await,
        }
    }
}

/// Kills the whole group when it is dropped before its end.
struct Group(Box<dyn process_wrap::tokio::ChildWrapper>);

impl Drop for Group {
    fn drop(&mut self) {
        // It fails when the group has ended already.
        let _ = self.0.start_kill();
    }
}

/// Writes the input and closes it. A program that does not read it is none the worse for it.
async fn feed(stdin: Option<impl AsyncWrite + Unpin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(input).await;
    }
}

/// Reads until nobody holds the other end.
async fn listen(mut heard: impl AsyncRead + Unpin, mut hearer: Hearer<'_>) -> io::Result<()> {
    let mut piece = [0; 4096];
    loop {
        match heard.read(&mut piece).await? {
            0 => return Ok(()),
            length => hearer.hear(&piece[..length]).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_gets_its_input_and_variables_and_is_heard() {
        let args = ["/bin/sh", "-c", "echo $WHO; cat; echo no >&2; exit 3"].map(str::to_owned);
        let variables = [("WHO", "me".to_owned())];
        // More than a pipe holds, to a program that speaks first.
        let input = vec![b'x'; 200_000];
        let mut said = Tail::new(10);
        let child = Child { args: &args, variables: &variables, input: &input };
        let status = child.run(&mut said).await.unwrap();
        assert_eq!(status.code(), Some(3));
        assert_eq!(said.into_text(), "Captured 10 of 200006 bytes\n...\nxxxxxxxno\n");
    }

    #[tokio::test]
    async fn both_streams_keep_their_order() {
        let args = ["/bin/sh", "-c", "for i in 1 2 3 4; do echo out; echo err >&2; done"].map(str::to_owned);
        let mut said = Tail::new(100);
        Child { args: &args, variables: &[], input: &[] }.run(&mut said).await.unwrap();
        assert_eq!(said.into_text(), "out\nerr\n".repeat(4));
    }

    #[tokio::test]
    async fn what_is_said_comes_in_pieces_and_a_deaf_listener_stops_nobody() {
        let args = ["/bin/sh", "-c", "head -c 100000 /dev/zero; exit 7"].map(str::to_owned);
        let child = Child { args: &args, variables: &[], input: &[] };
        let (pieces, mut said) = mpsc::channel::<Vec<u8>>(1);
        let counting = async {
            let mut bytes = 0;
            while let Some(piece) = said.recv().await {
                assert!(piece.len() <= 4096);
                bytes += piece.len();
            }
            bytes
        };
        let running = async {
            let ended = child.run_into(&pieces).await.unwrap().code();
            drop(pieces);
            ended
        };
        assert_eq!(tokio::join!(running, counting), (Some(7), 100_000));
        let (pieces, _) = mpsc::channel(1);
        assert_eq!(child.run_into(&pieces).await.unwrap().code(), Some(7));
    }

    #[tokio::test]
    async fn input_that_nobody_reads_is_no_error() {
        let args = ["true".to_owned()];
        let child = Child { args: &args, variables: &[], input: &[0; 200_000] };
        assert!(child.run(&mut Tail::new(10)).await.unwrap().success());
    }
}
