//! Checks by a program in a container: as script checks, but run by the container engine (Docker, or podman's compatible socket).

use std::time::Duration;

use bollard::{
    Docker as Engine,
    errors::Error,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
};
use daemon::Tail;
use futures_util::StreamExt as _;
use tokio::{sync::OnceCell, time::timeout};

use super::{
    Observed, limit,
    script::{timed_out, verdict},
};
use crate::definition::CheckType;

/// Consul sets no limit; a program that never ends must not hold its turn for ever.
const LIMIT: Duration = Duration::from_secs(30);

/// `docker_container_id = "web"`, `args = ["/bin/check"]`; the engine is where `DOCKER_HOST` says, or at its usual socket.
pub(super) struct Docker {
    container: String,
    args: Vec<String>,
    limit: Duration,
    output_bytes_max: usize,
    engine: OnceCell<Engine>,
}

impl Docker {
    pub(super) fn new(check: &CheckType, output_bytes_max: usize) -> Self {
        Self {
            container: check.docker_container_id.clone(),
            args: check.script_args.clone().unwrap_or_default(),
            limit: limit(check, LIMIT),
            output_bytes_max,
            engine: OnceCell::new(),
        }
    }

    pub(super) async fn run(&self) -> Observed {
        let mut said = Tail::new(self.output_bytes_max);
        match timeout(self.limit, self.execute(&mut said)).await {
            Ok(Ok(code)) => Observed::new(verdict(code), said.into_text()),
            Ok(Err(reason)) => Observed::critical(reason),
            Err(_) => Observed::critical(timed_out(self.limit, said)),
        }
    }

    /// Runs the program to its end; its exit code.
    async fn execute(&self, said: &mut Tail) -> Result<Option<i32>, String> {
        let container = &self.container;
        let engine = self.engine.get_or_try_init(connect).await.map_err(|error| {
            format!("create exec failed for container {container}: {}", unreached(container, &error))
        })?;
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(self.args.clone()),
            ..CreateExecOptions::default()
        };
        let created = engine.create_exec(container, options).await.map_err(|error| match error {
            Error::DockerResponseServerError { status_code: 404, .. } => {
                format!("create exec failed for unknown container {container}")
            }
            other => format!("create exec failed for container {container}: {other}"),
        })?;
        let failed = |error: Error| format!("start exec failed for container {container}: {error}");
        let started = engine.start_exec(&created.id, None::<StartExecOptions>).await.map_err(failed)?;
        if let StartExecResults::Attached { mut output, .. } = started {
            while let Some(part) = output.next().await {
                said.push(&part.map_err(failed)?.into_bytes());
            }
        }
        let ended = engine.inspect_exec(&created.id).await.map_err(failed)?;
        Ok(ended.exit_code.and_then(|code| i32::try_from(code).ok()))
    }
}

/// Why the engine does not answer, in Go's words where its socket is not there.
fn unreached(container: &str, error: &Error) -> String {
    let Error::SocketNotFoundError(path) = error else {
        return format!("the container engine does not answer: {error}");
    };
    let escaped = path.replace('/', "%2F");
    format!(
        "Post \"http://{escaped}/containers/{container}/exec\": dial unix {path}: connect: no such file or directory"
    )
}

/// The engine, spoken to in the newest version that it knows.
async fn connect() -> Result<Engine, Error> {
    Engine::connect_with_defaults()?.negotiate_version().await
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bollard::API_DEFAULT_VERSION;
    use tokio::{
        io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
        net::{UnixListener, UnixStream},
    };

    use super::{super::Status, *};

    /// An engine whose programs say `said` on both streams and exit with the number that their container is named by.
    fn engine(socket: &Path) {
        let listener = UnixListener::bind(socket).unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
    }

    async fn serve(stream: UnixStream) {
        let mut stream = BufReader::new(stream);
        loop {
            let (mut request, mut line, mut body_bytes) = (String::new(), String::new(), 0);
            stream.read_line(&mut request).await.unwrap();
            while stream.read_line(&mut line).await.unwrap() > 2 {
                let header = line.to_ascii_lowercase();
                if let Some(length) = header.strip_prefix("content-length:") {
                    body_bytes = length.trim().parse().unwrap();
                }
                line.clear();
            }
            stream.read_exact(&mut vec![0; body_bytes]).await.unwrap();
            let path: Vec<&str> = request.split(' ').nth(1).unwrap_or_default().split('/').collect();
            let json = |status: &str, body: String| {
                let bytes = body.len();
                format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n{body}"
                )
            };
            let answer = match path.as_slice() {
                [.., "containers", "gone", "exec"] => {
                    json("404 Not Found", r#"{"message":"No such container"}"#.into())
                }
                [.., "containers", name, "exec"] => json("201 Created", format!(r#"{{"Id":"{name}"}}"#)),
                [.., "exec", name, "json"] => {
                    json("200 OK", format!(r#"{{"ExitCode":{name},"Running":false}}"#))
                }
                [.., "exec", _, "start"] => {
                    let head = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
                    stream.write_all(head.as_bytes()).await.unwrap();
                    stream.write_all(b"\x01\0\0\0\0\0\0\x04out\n\x02\0\0\0\0\0\0\x04err\n").await.unwrap();
                    return;
                }
                _ => return,
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    async fn run(socket: &Path, container: &str) -> Observed {
        let check = CheckType {
            docker_container_id: container.to_owned(),
            script_args: Some(vec!["/bin/check".to_owned()]),
            ..CheckType::default()
        };
        let engine = Engine::connect_with_unix(socket.to_str().unwrap(), 5, API_DEFAULT_VERSION).unwrap();
        Docker { engine: OnceCell::new_with(Some(engine)), ..Docker::new(&check, 4096) }.run().await
    }

    #[tokio::test]
    async fn the_exit_code_of_the_program_in_the_container_is_the_verdict() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("engine.sock");
        engine(&socket);
        for (container, status) in [("0", Status::Passing), ("1", Status::Warning), ("2", Status::Critical)] {
            assert_eq!(run(&socket, container).await, Observed::new(status, "out\nerr\n"));
        }
        let said = "create exec failed for unknown container gone";
        assert_eq!(run(&socket, "gone").await, Observed::critical(said));
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_critical() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("engine.sock");
        drop(UnixListener::bind(&socket).unwrap());
        let observed = run(&socket, "web").await;
        assert_eq!(observed.status, Status::Critical);
        assert!(observed.output.starts_with("create exec failed for container web: "), "{}", observed.output);
    }
}
