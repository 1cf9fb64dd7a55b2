//! What the agent has, through its own methods.

use super::*;
use crate::config::{Flags, load};

fn config(dir: Option<&std::path::Path>, more: &[&str]) -> Config {
    let place = dir.map_or("-dev".to_owned(), |dir| format!("-data-dir={}", dir.display()));
    let words = [place, "-bind=127.0.0.1".into(), "-node=n1".into()].into_iter();
    load(&Flags::parse(words.chain(more.iter().map(|word| (*word).to_owned()))).unwrap()).unwrap()
}

fn service(body: &str) -> ServiceDefinition {
    ServiceDefinition::from_api(body.as_bytes()).unwrap()
}

fn statuses(local: &Local) -> Vec<(String, String)> {
    local.checks().into_iter().map(|check| (check.check_id, check.status)).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(id, status)| ((*id).to_owned(), (*status).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_service_registered_again_keeps_its_checks_and_their_status() {
    let local = Local::new(&config(None, &[]), None);
    let body = r#"{"Name":"web","Checks":[{"CheckID":"a","TTL":"30s"},{"CheckID":"b","TTL":"30s"}]}"#;
    local.add_service(service(body), Source::Api, false).unwrap();
    local.word("a", Status::Passing, "fine".into()).unwrap();
    let less = r#"{"Name":"web","Check":{"CheckID":"a","TTL":"30s"}}"#;
    local.add_service(service(less), Source::Api, false).unwrap();
    assert_eq!(statuses(&local), pairs(&[("a", "passing"), ("b", "critical")]));
    local.add_service(service(less), Source::Api, true).unwrap();
    assert_eq!(statuses(&local), pairs(&[("a", "passing")]));
    assert!(local.remove_service("web") && !local.remove_service("web"));
    assert_eq!(statuses(&local), []);
}

#[tokio::test(start_paused = true)]
async fn a_ttl_that_runs_out_turns_critical_and_the_service_goes_in_the_end() {
    let local = Local::new(&config(None, &[]), None);
    let body =
        r#"{"Name":"web","Check":{"TTL":"10s","Status":"passing","DeregisterCriticalServiceAfter":"1s"}}"#;
    local.add_service(service(body), Source::Api, false).unwrap();
    assert_eq!(statuses(&local), pairs(&[("service:web", "passing")]));
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(statuses(&local), pairs(&[("service:web", "critical")]));
    assert_eq!(local.checks()[0].output, "TTL expired");
    assert!(local.remove_critical().is_empty(), "a minute is the least");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(local.remove_critical(), ["web"]);
}

#[tokio::test(start_paused = true)]
async fn programs_run_only_where_they_are_allowed() {
    let body = r#"{"Name":"web","Check":{"Args":["true"],"Interval":"10s"}}"#;
    let refusal = |more: &[&str], source| {
        let added = Local::new(&config(None, more), None).add_service(service(body), source, false);
        added.map_or_else(|error| error.to_string(), |()| "fine".into())
    };
    let remote = "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true";
    assert_eq!(refusal(&[], Source::Api), remote);
    assert_eq!(refusal(&["-enable-local-script-checks"], Source::Api), remote);
    assert_eq!(refusal(&["-enable-local-script-checks"], Source::File), "fine");
    assert_eq!(refusal(&["-enable-script-checks"], Source::Api), "fine");
    assert!(refusal(&[], Source::File).starts_with("Scripts are disabled on this agent; to enable"));
}

#[tokio::test(start_paused = true)]
async fn what_came_over_the_api_outlives_a_restart_and_files_take_its_place() {
    let dir = tempfile::tempdir().unwrap();
    {
        let local = Local::new(&config(Some(dir.path()), &[]), None);
        let body = r#"{"Name":"web","Port":1,"Check":{"TTL":"1h"}}"#;
        local.add_service(service(body), Source::Api, false).unwrap();
        local.add_service(service(r#"{"Name":"db","Port":1}"#), Source::Api, false).unwrap();
        local.word("service:web", Status::Warning, "hm".into()).unwrap();
        local.node_maintenance(true, "why");
    }
    let config = config(Some(dir.path()), &["-hcl=service { name = \"db\" port = 2 }"]);
    let local = Local::new(&config, None);
    local.load(&config).unwrap();
    assert_eq!(statuses(&local), pairs(&[("_node_maintenance", "critical"), ("service:web", "warning")]));
    assert_eq!(local.checks()[0].notes, "why");
    let ports: Vec<_> = local.services().into_iter().map(|service| (service.id, service.port)).collect();
    assert_eq!(ports, [("db".to_owned(), 2), ("web".to_owned(), 1)]);
    let again = Local::new(&config, None);
    again.load(&config).unwrap();
    assert!(again.remove_service("db"), "the file's definition is there, the kept one is not");
}

#[tokio::test(start_paused = true)]
async fn an_alias_says_what_its_service_says() {
    let local = Local::new(&config(None, &[]), None);
    local.add_service(service(r#"{"Name":"web","Check":{"TTL":"1h"}}"#), Source::Api, false).unwrap();
    let alias = r#"{"Name":"front","Check":{"CheckID":"alias","AliasService":"web"}}"#;
    local.add_service(service(alias), Source::Api, false).unwrap();
    assert_eq!(statuses(&local)[0].1, "critical");
    local.word("service:web", Status::Passing, String::new()).unwrap();
    assert_eq!(statuses(&local), pairs(&[("alias", "passing"), ("service:web", "passing")]));
    local.remove_service("web");
    assert_eq!(local.checks()[0].output, "Service web could not be found on node ");
}

#[tokio::test(start_paused = true)]
async fn a_reload_leaves_alone_what_it_does_not_define() {
    let with = |text: &str| config(None, &[&format!("-hcl={text}")]);
    let first = with("services { name = \"a\" check { ttl = \"1h\" } }\nservices { name = \"b\" }");
    let local = Local::new(&first, None);
    local.load(&first).unwrap();
    local.add_service(service(r#"{"Name":"api"}"#), Source::Api, false).unwrap();
    local.word("service:a", Status::Passing, String::new()).unwrap();
    local.take_unsynced();
    local
        .reload(&with("services { name = \"a\" check { ttl = \"1h\" } }\nservices { name = \"c\" }"))
        .unwrap();
    let ids: Vec<_> = local.services().into_iter().map(|service| service.id).collect();
    assert_eq!(ids, ["a", "api", "c"]);
    assert_eq!(statuses(&local), pairs(&[("service:a", "passing")]));
    let told: Vec<_> = local.take_unsynced().into_iter().collect();
    assert_eq!(told, [Item::Service("b".into()), Item::Service("c".into())]);
}

#[test]
fn long_output_from_the_api_is_cut_after_its_beginning() {
    assert_eq!(cut("abcdef".into(), 4), "abcd ... (captured 4 of 6 bytes)");
    assert_eq!(cut("aé".into(), 2), "a ... (captured 2 of 3 bytes)");
}

/// All files below a folder.
fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files = Vec::new();
    for path in entries {
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

#[tokio::test(start_paused = true)]
async fn any_file_may_be_torn_and_the_rest_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(Some(dir.path()), &["-hcl=service { name = \"own\" }"]);
    let local = Local::new(&config, None);
    local.load(&config).unwrap();
    let web =
        r#"{"Name":"web","Port":80,"Check":{"CheckID":"t","TTL":"24h"},"Connect":{"SidecarService":{}}}"#;
    local.add_service(service(web), Source::Api, false).unwrap();
    local
        .add_service(service(r#"{"Name":"db","Check":{"CheckID":"d","TTL":"24h"}}"#), Source::Api, false)
        .unwrap();
    local.node_maintenance(true, "disk");
    local.service_maintenance("own", true, "work");
    for id in ["t", "d"] {
        local.word(id, Status::Warning, "so so".into()).unwrap();
    }
    let all = (local.services().len(), local.checks().len());
    drop(local);
    let again = || {
        let local = Local::new(&config, None);
        local.load(&config).map(|()| (local.services().len(), local.checks().len()))
    };
    assert_eq!(again().unwrap(), all, "the whole is there after a kill");
    let kept = files(dir.path());
    assert_eq!(
        kept.len(),
        11,
        "three services, four checks of theirs, two maintenances, two words: {kept:?}"
    );
    for path in kept {
        let whole = std::fs::read(&path).unwrap();
        let half = &whole[..whole.len() / 2];
        for torn in [&b""[..], b"null", b"[]", b"{}", b"\0\0\0\0", b"\xff\xfe{", half] {
            // A torn service takes its checks along for good: each time all of them are put back.
            let saved: Vec<_> =
                files(dir.path()).into_iter().map(|p| (p.clone(), std::fs::read(p).unwrap())).collect();
            std::fs::write(&path, torn).unwrap();
            let (services, checks) = again().unwrap_or_else(|error| panic!("{path:?} {torn:?}: {error}"));
            assert!(services + 1 >= all.0 && checks + 2 >= all.1, "{path:?} {torn:?}: {services} {checks}");
            saved.into_iter().for_each(|(path, whole)| std::fs::write(path, whole).unwrap());
        }
    }
    assert_eq!(again().unwrap(), all);
}

#[tokio::test(start_paused = true)]
async fn what_a_kill_left_half_written_is_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(Some(dir.path()), &[]);
    for folder in ["services", "checks/state"] {
        std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        std::fs::write(dir.path().join(folder).join(".new-abc.tmp"), "{").unwrap();
    }
    std::fs::write(dir.path().join("checks/.new-x.tmp"), "").unwrap();
    Local::new(&config, None).load(&config).unwrap();
    assert_eq!(files(dir.path()), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(start_paused = true)]
async fn maintenance_and_words_outlive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(Some(dir.path()), &[]);
    let local = Local::new(&config, None);
    local
        .add_service(service(r#"{"Name":"db","Check":{"CheckID":"d","TTL":"24h"}}"#), Source::Api, false)
        .unwrap();
    local.word("d", Status::Warning, "so so".into()).unwrap();
    local.node_maintenance(true, "disk");
    local.service_maintenance("db", true, "");
    drop(local);
    let local = Local::new(&config, None);
    local.load(&config).unwrap();
    let before = pairs(&[
        ("_node_maintenance", "critical"),
        ("_service_maintenance:db", "critical"),
        ("d", "warning"),
    ]);
    assert_eq!(statuses(&local), before);
    let checks = local.checks();
    assert_eq!((checks[0].notes.as_str(), checks[2].output.as_str()), ("disk", "so so"));
    assert_eq!((checks[1].service_name.as_str(), checks[0].kind.as_str()), ("db", "maintenance"));
    local.node_maintenance(false, "");
    local.service_maintenance("db", false, "");
    drop(local);
    let local = Local::new(&config, None);
    local.load(&config).unwrap();
    assert_eq!(statuses(&local), pairs(&[("d", "warning")]));
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_that_consul_kept_has_its_checks_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(Some(dir.path()), &[]);
    let local = Local::new(&config, None);
    let web = r#"{"Name":"web","Port":80,"Connect":{"SidecarService":{}}}"#;
    local.add_service(service(web), Source::Api, false).unwrap();
    let before: Vec<_> =
        local.checks().into_iter().map(|check| (check.check_id, check.name, check.kind)).collect();
    assert_eq!(before.len(), 2);
    drop(local);
    // Consul writes no file for checks that come with a sidecar by themselves.
    std::fs::remove_dir_all(dir.path().join("checks")).unwrap();
    let local = Local::new(&config, None);
    local.load(&config).unwrap();
    let after: Vec<_> =
        local.checks().into_iter().map(|check| (check.check_id, check.name, check.kind)).collect();
    assert_eq!(after, before);
    assert!(local.remove_service("web"));
    assert!(local.services().is_empty(), "the sidecar goes with its service");
}
