//! The scenes of the main job, in order. Each changes the fleet, waits for what must follow, and asserts it.
//!
//! A scene's bound is at least five times what is expected, for slow machines; what was measured is printed.

mod change;
mod fail;
mod fleet;

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use fleet::{Fleet, Part};

use crate::{process::Process, stage::Stage};

/// What may take long on a slow machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

type Scene = (&'static str, fn(&mut Fleet) -> anyhow::Result<()>);

const SCENES: &[Scene] = &[
    ("2. a new route: keys by `ryo kv put` and by curl", change::new_route),
    ("3. a web server is killed, and comes back", fail::web_server_dies),
    ("4. a value that makes the configuration invalid", change::invalid_value),
    ("5. the reload command fails twice", fail::reload_fails_twice),
    ("6. a new domain for certbot", change::new_domain),
    ("7. the registry is killed with -9 and started again", fail::registry_dies),
    ("8. a container is replaced: same name, new id, new address", fail::container_replaced),
    ("9. the same template in Jinja", change::jinja_renders_the_same),
];

/// Runs all scenes in `folder`; without `check` it leaves the fleet running until Ctrl-C.
pub(crate) fn run(ryo: &Path, folder: &Path, check: bool) -> anyhow::Result<()> {
    let start = Instant::now();
    println!("1. registry, agents and watcher start in every order");
    for (number, order) in Part::ORDERS.iter().enumerate() {
        let stage = Stage::new(ryo, &folder.join(format!("order-{}", number + 1)))?;
        Fleet::start(stage, order)
            .map_err(|error| error.context(format!("scene 1: started in the order {order:?}")))?;
        // Only the logs of the fleet that failed are of use.
        std::fs::remove_dir_all(folder.join(format!("order-{}", number + 1)))?;
    }
    let mut fleet = Fleet::start(Stage::new(ryo, &folder.join("fleet"))?, &Part::ORDERS[0])?;
    fleet.start_traffic()?;
    for (name, scene) in SCENES {
        println!("{name}");
        scene(&mut fleet).map_err(|error| error.context(format!("scene {name}")))?;
        fleet.judge_traffic().map_err(|error| error.context(format!("scene {name}")))?;
    }
    println!("all scenes hold, in {:.0} s", start.elapsed().as_secs_f64());
    if check {
        return Ok(());
    }
    leave_running(&fleet)
}

/// The ends of all logs below `folder`, for whoever must find out why a scene failed.
pub(crate) fn last_words(folder: &Path) -> String {
    let mut words = String::from("the programs' last words:");
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "log") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                let lines: Vec<_> = text.lines().collect();
                let tail = lines[lines.len().saturating_sub(15)..].join("\n    ");
                words.push_str(&format!("\n  {}:\n    {tail}", path.display()));
            }
        }
    }
    words
}

fn leave_running(fleet: &Fleet) -> anyhow::Result<()> {
    let (registry, proxy) = (fleet.registry.address, fleet.proxy.address);
    println!("\nThe fleet runs until Ctrl-C. Try, in another terminal:");
    println!(
        "  curl -H 'Host: www.demo' http://{proxy}:8080/        a page, by servers rendered into the file"
    );
    println!("  curl -H 'Host: srv.demo' http://{proxy}:8080/        a page, by DNS");
    println!("  curl http://{registry}:8500/v1/health/service/web?passing");
    println!("  dig @{proxy} -p 8600 _web._tcp.service.ryo SRV");
    println!("  CONSUL_HTTP_ADDR={proxy}:8500 target/debug/ryo members");
    println!("  CONSUL_HTTP_ADDR={proxy}:8500 target/debug/ryo kv put service/haproxy/deny/www");
    println!("  cat {}/haproxy.cfg", fleet.proxy.folder.display());
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        pause(Duration::from_millis(100));
    }
    println!("ending");
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a plain program without a runtime; it watches other processes"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Milliseconds since `start`, for people.
fn ms(start: Instant) -> u128 {
    start.elapsed().as_millis()
}

/// Ends a program that may or may not run.
fn kill(process: &mut Option<Process>) -> anyhow::Result<()> {
    process.take().ok_or_else(|| anyhow::anyhow!("it does not run"))?.kill();
    Ok(())
}
