use std::sync::atomic::Ordering::Relaxed;

use registry_state::read::{CatalogNode, HealthNode};

use link::calls::{ServerTags, status};

use super::*;
use crate::{
    Role,
    simulated::{Simulated, leading},
};

struct Fleet {
    engine: Simulated,
    leases: Arc<Leases>,
}

impl Fleet {
    fn start() -> Self {
        let engine = Simulated::start();
        let settings = Settings::new("registry", "11111111-2222-4333-8444-555555555555");
        let parts = (engine.store.clone(), engine.writer.clone(), engine.leadership.clone());
        let leases = Arc::new(Leases::new(settings, parts.0, parts.1, parts.2, Arc::new(Vec::new)));
        tokio::spawn(leases.clone().tend(engine.shutdown.clone()));
        Self { engine, leases }
    }

    fn health(&self, node: &str) -> Option<String> {
        let (checks, _) = HealthNode { node: Caseless::new(node) }.run(&self.engine.store.state());
        checks.first().map(|check| check.status.clone())
    }

    fn id(&self, node: &str) -> Option<String> {
        let (node, _) = CatalogNode { node: node.to_owned() }.run(&self.engine.store.state());
        node.map(|found| found.node.id.clone())
    }

    fn status(&self, node: &str) -> Option<u8> {
        self.leases.members().iter().find(|m| m.name == node).map(|m| m.status)
    }
}

fn lease(node: &str, id: char, boot_ms: u64) -> Lease {
    Lease {
        version: VERSION,
        node: node.to_owned(),
        id: id.to_string().repeat(8) + "-2222-4333-8444-555555555555",
        address: format!("10.0.0.{boot_ms}"),
        datacenter: "dc1".to_owned(),
        boot_ms,
        ..Lease::default()
    }
}

async fn pass(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_lives_as_long_as_its_lease_is_kept_and_an_idle_fleet_writes_nothing() {
    let fleet = Fleet::start();
    assert!(fleet.leases.keep(lease("web1", 'a', 1)).await.unwrap().taken_in);
    assert_eq!(fleet.health("web1").as_deref(), Some("passing"));
    let live = async |seconds| {
        for _ in 0..seconds {
            pass(1.0).await;
            assert!(!fleet.leases.keep(lease("web1", 'a', 1)).await.unwrap().taken_in);
        }
    };
    // The registry's own place is written by then.
    live(LOCATE_AFTER.end.as_secs() + 1).await;
    let before = fleet.engine.batches();
    live(60).await;
    assert_eq!(fleet.engine.batches(), before, "signs of life alone are not written");
    pass(3.9).await;
    assert_eq!(fleet.health("web1").as_deref(), Some("passing"));
    pass(0.2).await;
    assert_eq!(fleet.health("web1").as_deref(), Some("critical"));
    assert_eq!(fleet.status("web1"), Some(status::FAILED));
    fleet.leases.keep(lease("web1", 'a', 1)).await.unwrap();
    assert_eq!(fleet.health("web1").as_deref(), Some("passing"));
    assert_eq!(fleet.status("web1"), Some(status::ALIVE));
}

#[tokio::test(start_paused = true)]
async fn a_new_container_of_the_name_takes_over_and_the_old_one_cannot_come_back() {
    let fleet = Fleet::start();
    fleet.leases.keep(lease("web1", 'a', 1)).await.unwrap();
    fleet.leases.keep(lease("web1", 'b', 2)).await.unwrap();
    assert_eq!(fleet.id("web1"), Some(lease("web1", 'b', 2).id));
    let refused = fleet.leases.keep(lease("web1", 'a', 1)).await.unwrap_err();
    assert!(matches!(&refused, LeaseRefused::Unfit(why) if why.contains("younger agent")), "{refused}");
    fleet.leases.release(&lease("web1", 'a', 1)).await.unwrap();
    assert_eq!(fleet.id("web1"), Some(lease("web1", 'b', 2).id), "the old one's goodbye does not count");
    fleet.leases.release(&lease("web1", 'b', 2)).await.unwrap();
    assert_eq!((fleet.id("web1"), fleet.status("web1")), (None, Some(status::LEFT)));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_gone_is_forgotten_and_one_that_is_forced_stays_away() {
    let fleet = Fleet::start();
    fleet.leases.keep(lease("web1", 'a', 1)).await.unwrap();
    fleet.leases.keep(lease("web2", 'b', 1)).await.unwrap();
    assert!(fleet.leases.force_leave("web2", false).await.unwrap());
    assert_eq!(fleet.status("web2"), Some(status::ALIVE), "a node that is alive stays");
    pass(5.0).await;
    assert!(fleet.leases.force_leave("web2", false).await.unwrap());
    assert_eq!((fleet.id("web2"), fleet.status("web2")), (None, Some(status::LEFT)));
    assert!(!fleet.leases.force_leave("nope", true).await.unwrap());
    pass(598.0).await;
    assert!(fleet.id("web1").is_some());
    pass(5.0).await;
    assert_eq!((fleet.id("web1"), fleet.status("web1")), (None, None));
    pass(10.0).await;
    assert_eq!(fleet.status("web2"), None);
}

#[tokio::test(start_paused = true)]
async fn what_a_goodbye_has_overtaken_brings_nobody_back() {
    let fleet = Fleet::start();
    fleet.leases.keep(lease("web1", 'a', 1)).await.unwrap();
    fleet.leases.release(&lease("web1", 'a', 1)).await.unwrap();
    let refused = fleet.leases.keep(lease("web1", 'a', 1)).await.unwrap_err();
    assert!(matches!(&refused, LeaseRefused::Unfit(why) if why.contains("has left")), "{refused}");
    // A registration that was on its way is written, and then it turns out that its agent is gone.
    fleet.engine.register("web1", Some("web"), None).await;
    fleet.leases.undo_if_left("Web1").await.unwrap();
    assert_eq!((fleet.id("web1"), fleet.status("web1")), (None, Some(status::LEFT)));
    // The next start of the agent is another matter.
    fleet.leases.keep(lease("web1", 'a', 2)).await.unwrap();
    fleet.engine.register("web1", Some("web"), None).await;
    fleet.leases.undo_if_left("web1").await.unwrap();
    assert!(fleet.id("web1").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_holds_for_whoever_leads_next() {
    let (before, next) = (Fleet::start(), Fleet::start());
    before.leases.keep(lease("web1", 'a', 1)).await.unwrap();
    before.leases.release(&lease("web1", 'a', 1)).await.unwrap();
    next.engine.role.send_replace(Role::default());
    pass(0.1).await;
    let server = Lease { server: Some(ServerTags::default()), ..lease("next", 'c', 3) };
    next.leases.learn_departed(before.leases.keep(server).await.unwrap().departed.unwrap_or_default());
    next.engine.role.send_replace(leading());
    pass(0.1).await;
    next.leases.keep(lease("web1", 'a', 1)).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_pruned_is_listed_no_longer() {
    let fleet = Fleet::start();
    fleet.leases.keep(lease("web1", 'a', 1)).await.unwrap();
    assert!(fleet.leases.force_leave("web1", true).await.unwrap());
    assert_eq!(fleet.status("web1"), Some(status::ALIVE), "a node that is alive stays");
    pass(5.0).await;
    assert!(fleet.leases.force_leave("web1", true).await.unwrap());
    assert_eq!((fleet.id("web1"), fleet.status("web1")), (None, None));
    fleet.leases.keep(lease("web1", 'a', 2)).await.unwrap();
    assert_eq!(fleet.status("web1"), Some(status::ALIVE), "it may come back");
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_known_nodes_have_time_for_a_sign_of_life() {
    let fleet = Fleet::start();
    fleet.leases.keep(lease("web1", 'a', 1)).await.unwrap();
    fleet.engine.register("outside", Some("db"), None).await;
    // The leases of a new leader are empty; the catalog is all it knows.
    fleet.engine.role.send_replace(Role::default());
    pass(0.1).await;
    *fleet.leases.table() = Table::default();
    fleet.engine.role.send_replace(leading());
    pass(7.0).await;
    assert_eq!(fleet.health("web1").as_deref(), Some("passing"));
    let before = fleet.engine.batches();
    fleet.leases.keep(lease("web1", 'a', 1)).await.unwrap();
    assert_eq!(fleet.engine.batches(), before, "a node that is as it was is not written again");
    pass(3.0).await;
    assert_eq!(fleet.health("web1").as_deref(), Some("passing"));
    pass(1.5).await;
    assert_eq!(fleet.health("web1").as_deref(), Some("critical"));
    pass(700.0).await;
    assert!(fleet.id("outside").is_some(), "a node registered from outside has no lease to lose");
}

#[tokio::test(start_paused = true)]
async fn whoever_leads_next_shows_those_that_left() {
    let (before, next) = (Fleet::start(), Fleet::start());
    let server = |departed_mark| Lease {
        server: Some(ServerTags { address: "10.0.0.9:8300".into(), ..ServerTags::default() }),
        departed_mark,
        ..lease("next", 'c', 3)
    };
    for gone in [lease("web1", 'a', 1), lease("web2", 'b', 2)] {
        before.leases.keep(gone).await.unwrap();
    }
    before.leases.release(&lease("web1", 'a', 1)).await.unwrap();
    next.engine.role.send_replace(Role::default());
    pass(1.0).await;
    let told = before.leases.keep(server(next.leases.departed_mark())).await.unwrap().departed.unwrap();
    next.leases.learn_departed(told);
    let again = before.leases.keep(server(next.leases.departed_mark())).await.unwrap();
    assert_eq!(again.departed, None, "it is told once");
    next.engine.role.send_replace(leading());
    pass(1.0).await;
    assert_eq!(next.status("web1"), Some(status::LEFT));

    // One that is back has not left, for any of them.
    before.leases.keep(lease("web1", 'a', 2)).await.unwrap();
    next.engine.role.send_replace(Role::default());
    pass(0.1).await;
    let told = before.leases.keep(server(next.leases.departed_mark())).await.unwrap().departed.unwrap();
    assert_eq!(told, []);
    next.leases.learn_departed(told);
    assert_eq!(next.status("web1"), None);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_called_dead_for_a_time_in_which_the_leader_could_hear_nobody() {
    let fleet = Fleet::start();
    fleet.leases.keep(lease("web1", 'a', 1)).await.unwrap();
    fleet.leases.keep(lease("dead", 'b', 2)).await.unwrap();
    pass(2.0).await;
    fleet.engine.alone.store(true, Relaxed);
    pass(10.0).await;
    fleet.engine.alone.store(false, Relaxed);
    pass(1.0).await;
    assert_eq!(fleet.health("web1").as_deref(), Some("passing"));
    fleet.leases.keep(lease("web1", 'a', 1)).await.unwrap();
    pass(3.5).await;
    let of = |node| fleet.health(node);
    assert_eq!((of("web1").as_deref(), of("dead").as_deref()), (Some("passing"), Some("critical")));
}

#[tokio::test(start_paused = true)]
async fn an_older_agent_gets_its_name_back_when_the_younger_one_is_dead() {
    let fleet = Fleet::start();
    // A machine whose clock is behind: its agents seem to be older than they are.
    fleet.leases.keep(lease("web1", 'a', 9)).await.unwrap();
    fleet.leases.keep(lease("web1", 'b', 1)).await.unwrap_err();
    pass(4.6).await;
    assert_eq!(fleet.health("web1").as_deref(), Some("critical"));
    fleet.leases.keep(lease("web1", 'b', 1)).await.unwrap();
    assert_eq!(fleet.health("web1").as_deref(), Some("passing"));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_refused_with_the_reason() {
    let fleet = Fleet::start();
    for (lease, reason) in [
        (Lease { datacenter: "dc2".into(), ..lease("web1", 'a', 1) }, "wrong datacenter 'dc2'"),
        (lease("Registry", 'a', 1), "the registry's own"),
        (
            Lease { address: String::new(), version: u32::MAX, ..lease("web1", 'a', 1) },
            "name, id and address",
        ),
    ] {
        let refused = fleet.leases.keep(lease).await.unwrap_err();
        assert!(matches!(&refused, LeaseRefused::Unfit(why) if why.contains(reason)), "{refused}");
    }
    pass(0.1).await;
    assert_eq!(fleet.leases.members().len(), 1);
    assert_eq!(fleet.health("registry").as_deref(), Some("passing"));
}

#[tokio::test(start_paused = true)]
async fn what_the_log_does_not_take_is_written_later() {
    let fleet = Fleet::start();
    fleet.engine.broken.store(true, Relaxed);
    pass(2.5).await;
    assert_eq!(fleet.health("registry"), None);
    fleet.engine.broken.store(false, Relaxed);
    pass(1.0).await;
    assert_eq!(fleet.health("registry").as_deref(), Some("passing"));
    fleet.leases.keep(lease("web1", 'a', 1)).await.unwrap();
    fleet.engine.broken.store(true, Relaxed);
    fleet.leases.release(&lease("web1", 'a', 1)).await.unwrap_err();
    pass(2.5).await;
    assert!(fleet.id("web1").is_some());
    fleet.engine.broken.store(false, Relaxed);
    pass(1.1).await;
    assert_eq!(fleet.id("web1"), None, "its goodbye is not forgotten");
}

#[tokio::test(start_paused = true)]
async fn the_registry_is_somewhere_once_it_has_led_for_a_while() {
    let fleet = Fleet::start();
    let own = || {
        let node = Caseless::new("registry");
        CoordinateOf { node, segment: None }.run(&fleet.engine.store.state()).0.len()
    };
    pass(LOCATE_AFTER.start.as_secs_f64() - 0.1).await;
    assert_eq!(own(), 0);
    let granted = fleet.leases.keep(lease("web1", 'a', 1)).await.unwrap();
    assert_eq!(granted.coordinate, Some(Coordinate::origin()), "agents find their places from it at once");
    pass(LOCATE_AFTER.end.as_secs_f64()).await;
    assert_eq!(own(), 1);
}
