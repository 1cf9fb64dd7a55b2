//! `consulrs`: keys, sessions, services and their checks.

use std::time::Duration;

use consulrs::api::Features;
use consulrs::api::check::common::AgentServiceCheckBuilder;
use consulrs::api::features::Blocking;
use consulrs::api::kv::requests::ReadKeyRequest;
use consulrs::api::service::requests::RegisterServiceRequest;
use consulrs::api::session::requests::CreateSessionRequest;
use consulrs::client::{ConsulClient, ConsulClientSettingsBuilder};
use consulrs::{catalog, check, kv, service, session};

use crate::{NODE, Step, Tally};

pub async fn round(tally: &mut Tally) {
    tally.step("consulrs: keys", keys()).await;
    tally.step("consulrs: a blocking read wakes up", blocking_read()).await;
    tally.step("consulrs: sessions", sessions()).await;
    tally.step("consulrs: a service, its check and its health", services()).await;
    tally.step("consulrs: catalog", catalogs()).await;
}

fn client() -> Result<ConsulClient, Box<dyn std::error::Error + Send + Sync>> {
    Ok(ConsulClient::new(ConsulClientSettingsBuilder::default().build()?)?)
}

async fn value(consul: &ConsulClient, key: &str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let pair = kv::read(consul, key, None).await?.response.pop().expect("the key is there");
    Ok(pair.value.expect("the key has a value").try_into()?)
}

async fn keys() -> Step {
    let consul = client()?;
    assert!(kv::set(&consul, "consulrs/a", b"one", None).await?.response);
    assert_eq!(value(&consul, "consulrs/a").await?, "one");
    assert_eq!(kv::raw(&consul, "consulrs/a", None).await?.response, b"one");
    assert_eq!(kv::keys(&consul, "consulrs/", None).await?.response, ["consulrs/a"]);
    assert!(kv::delete(&consul, "consulrs/a", None).await?.response);
    assert!(kv::read(&consul, "consulrs/a", None).await.is_err());
    Ok(())
}

async fn blocking_read() -> Step {
    let consul = client()?;
    kv::set(&consul, "consulrs-wait", b"1", None).await?;
    let index =
        kv::read(&consul, "consulrs-wait", None).await?.index.expect("answers carry an index").parse()?;
    let writer = tokio::spawn(async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        kv::set(&client()?, "consulrs-wait", b"2", None)
            .await
            .map_err(Box::<dyn std::error::Error + Send + Sync>::from)
    });
    let features = Features::builder().blocking(Blocking { index, wait: Some("20s".to_owned()) }).build()?;
    let woken =
        kv::read(&consul, "consulrs-wait", Some(ReadKeyRequest::builder().features(features))).await?;
    assert!(woken.index.expect("answers carry an index").parse::<u64>()? > index);
    writer.await??;
    kv::delete(&consul, "consulrs-wait", None).await?;
    Ok(())
}

async fn sessions() -> Step {
    let consul = client()?;
    let wanted = &mut CreateSessionRequest::builder();
    let id = session::create(&consul, Some(wanted.name("consulrs").ttl("15s"))).await?.response.id;
    assert_eq!(session::read(&consul, &id, None).await?.response.len(), 1);
    assert!(!session::list_by_node(&consul, NODE, None).await?.response.is_empty());
    assert_eq!(session::renew(&consul, &id, None).await?.response.len(), 1);
    session::delete(&consul, &id, None).await?;
    assert!(session::read(&consul, &id, None).await?.response.is_empty());
    Ok(())
}

async fn services() -> Step {
    let consul = client()?;
    let ttl = AgentServiceCheckBuilder::default().name("up").check_id("consulrs-up").ttl("30s").build()?;
    // Without an address: the library cannot read the tagged addresses that come with one.
    let wanted = &mut RegisterServiceRequest::builder();
    service::register(&consul, "consulrs-web", Some(wanted.port(8080u64).check(ttl))).await?;
    check::pass(&consul, "consulrs-up", None).await?;
    assert!(check::list(&consul, None).await?.response.contains_key("consulrs-up"));
    assert!(service::list(&consul, None).await?.response.contains_key("consulrs-web"));
    let health = service::health(&consul, "consulrs-web", None).await?.response;
    assert_eq!(health[0].aggregated_status, "passing");
    service::maintenance(&consul, "consulrs-web", true, None).await?;
    // In maintenance the answer has a status that the library takes for an error.
    assert!(service::health(&consul, "consulrs-web", None).await.is_err());
    service::maintenance(&consul, "consulrs-web", false, None).await?;
    service::deregister(&consul, "consulrs-web", None).await?;
    assert!(service::list(&consul, None).await?.response.is_empty());
    Ok(())
}

async fn catalogs() -> Step {
    let consul = client()?;
    assert_eq!(catalog::datacenters(&consul, None).await?.response, ["dc1"]);
    assert_eq!(catalog::nodes(&consul, None).await?.response.len(), 1);
    assert!(catalog::services(&consul, None).await?.response.contains_key("consul"));
    Ok(())
}
