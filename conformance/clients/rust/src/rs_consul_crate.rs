//! `rs-consul`: keys, blocking reads, locks, the catalog.

use std::collections::HashMap;
use std::time::Duration;

use rs_consul::{
    Config, Consul, ConsulError, CreateOrUpdateKeyRequest, DeleteKeyRequest, DeregisterEntityPayload,
    GetNodesRequest, GetServiceNodesRequest, LockRequest, QueryOptions, ReadKeyRequest, RegisterEntityCheck,
    RegisterEntityPayload, RegisterEntityService,
};

use crate::{NODE, Step, Tally};

pub async fn round(tally: &mut Tally) {
    tally.step("rs-consul: keys and compare-and-set", keys()).await;
    tally.step("rs-consul: a blocking read wakes up", blocking_read()).await;
    tally.step("rs-consul: a lock has one holder, and is free when dropped", lock()).await;
    tally.step("rs-consul: the catalog, by service and filter", catalog()).await;
}

fn client() -> Consul {
    Consul::new(Config::from_env())
}

fn at(key: &str) -> CreateOrUpdateKeyRequest<'_> {
    CreateOrUpdateKeyRequest { key, ..Default::default() }
}

fn of(key: &str) -> ReadKeyRequest<'_> {
    ReadKeyRequest { key, ..Default::default() }
}

async fn keys() -> Step {
    let consul = client();
    assert!(consul.create_or_update_key(at("rs/a"), b"one".to_vec()).await?.0);
    assert!(consul.create_or_update_key(at("rs/b"), b"two".to_vec()).await?.0);
    let read = consul.read_key(of("rs/a")).await?;
    let pair = &read.response[0];
    assert_eq!(pair.value.as_deref(), Some("one"));
    assert_eq!(u64::try_from(pair.modify_index)?, read.index);
    let all = consul.read_key(ReadKeyRequest { recurse: true, ..of("rs/") }).await?;
    assert_eq!(all.response.iter().map(|pair| pair.key.as_str()).collect::<Vec<_>>(), ["rs/a", "rs/b"]);
    let stale = CreateOrUpdateKeyRequest { check_and_set: Some(pair.modify_index - 1), ..at("rs/a") };
    assert!(!consul.create_or_update_key(stale, b"three".to_vec()).await?.0);
    let right = CreateOrUpdateKeyRequest { check_and_set: Some(pair.modify_index), ..at("rs/a") };
    assert!(consul.create_or_update_key(right, b"three".to_vec()).await?.0);
    assert!(consul.delete_key(DeleteKeyRequest { key: "rs/", recurse: true, ..Default::default() }).await?);
    let gone = consul.read_key(of("rs/a")).await;
    assert!(
        matches!(&gone, Err(ConsulError::UnexpectedResponseCode(status, _)) if status.as_u16() == 404),
        "{gone:?}"
    );
    Ok(())
}

async fn blocking_read() -> Step {
    let consul = client();
    consul.create_or_update_key(at("rs-wait"), b"1".to_vec()).await?;
    let index = consul.read_key(of("rs-wait")).await?.index;
    let writer = tokio::spawn(async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        client().create_or_update_key(at("rs-wait"), b"2".to_vec()).await
    });
    let woken = consul
        .read_key(ReadKeyRequest { index: Some(index), wait: Duration::from_secs(20), ..of("rs-wait") })
        .await?;
    assert!(woken.index > index);
    assert_eq!(woken.response[0].value.as_deref(), Some("2"));
    writer.await??;
    consul.delete_key(DeleteKeyRequest { key: "rs-wait", ..Default::default() }).await?;
    Ok(())
}

async fn lock() -> Step {
    let consul = client();
    let request = LockRequest { key: "rs-lock", lock_delay: Duration::ZERO, ..Default::default() };
    let held = consul.get_lock(request, b"first").await?;
    let refused = consul.get_lock(request, b"second").await;
    assert!(matches!(refused, Err(ConsulError::LockAcquisitionFailure(_))), "two hold the lock");
    let session = consul.read_key(of("rs-lock")).await?.response[0].session.clone();
    assert_eq!(session, Some(held.session_id.clone()));
    // Giving it back is a call of a blocking client.
    tokio::task::block_in_place(|| drop(held));
    let next = consul.get_lock(request, b"second").await?;
    assert_eq!(consul.read_key(of("rs-lock")).await?.response[0].lock_index, 2);
    tokio::task::block_in_place(|| drop(next));
    Ok(())
}

async fn catalog() -> Step {
    let consul = client();
    consul.register_entity(&database()).await?;
    let names = consul.get_all_registered_service_names(Some(QueryOptions::default())).await?;
    assert!(names.response.iter().any(|name| name == "rs-db"));
    let request = GetServiceNodesRequest { service: "rs-db", passing: true, ..Default::default() };
    let found = consul.get_service_nodes(request.clone(), None).await?;
    assert_eq!((found.response[0].node.node.as_str(), found.response[0].service.port), ("rs-node", 5432));
    let addresses = consul.get_service_addresses_and_ports("rs-db", None).await?;
    assert_eq!(addresses, [("192.0.2.11".to_owned(), 5432)]);
    // The library puts a filter into the address as it is: spaces and quotes would have to be written as %20 and %22.
    let nodes = consul
        .get_nodes(GetNodesRequest { filter: Some("Meta.rack==r11"), ..Default::default() }, None)
        .await?;
    assert_eq!(nodes.response.iter().map(|node| node.node.as_str()).collect::<Vec<_>>(), ["rs-node"]);
    let all = consul.get_nodes(GetNodesRequest::default(), None).await?;
    assert!(all.response.iter().any(|node| node.node == NODE));
    consul.deregister_entity(&DeregisterEntityPayload::builder().Node("rs-node".to_owned()).build()).await?;
    assert!(
        consul
            .get_service_nodes(GetServiceNodesRequest { service: "rs-db", ..Default::default() }, None)
            .await?
            .response
            .is_empty()
    );
    Ok(())
}

fn database() -> RegisterEntityPayload {
    RegisterEntityPayload::builder()
        .Node("rs-node".to_owned())
        .Address("192.0.2.11".to_owned())
        .NodeMeta(HashMap::from([("rack".to_owned(), "r11".to_owned())]))
        .Service(
            RegisterEntityService::builder()
                .Service("rs-db".to_owned())
                .Tags(vec!["primary".to_owned()])
                .Port(5432)
                .build(),
        )
        .Checks(vec![
            RegisterEntityCheck::builder()
                .Name("up".to_owned())
                .Status("passing".to_owned())
                .ServiceID("rs-db".to_owned())
                .build(),
        ])
        .build()
}
