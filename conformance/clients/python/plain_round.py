"""The round of py-consul: each part of its interface that a registry without a mesh and without ACLs answers."""

import base64
import threading
import time

import consul
from consul.exceptions import ACLDisabled, ConsulException

from steps import play, refused, step, until

NODE = "clients"


def later(call, seconds=0.3):
    """Calls it from another thread after a moment, while this one waits."""
    timer = threading.Timer(seconds, call)
    timer.start()
    return timer


@step
def status(c):
    """status: leader and peers"""
    assert c.status.leader() in c.status.peers()


@step
def keys(c):
    """kv: put, get, flags, keys, recurse, separator, delete"""
    assert c.kv.put("py/a", "one", flags=42) is True
    assert c.kv.put("py/b/c", b"\x00\xff\x80") is True
    assert c.kv.put("py/empty", "") is True
    index, pair = c.kv.get("py/a")
    assert (pair["Value"], pair["Flags"], pair["LockIndex"]) == (b"one", 42, 0), pair
    assert int(index) == pair["ModifyIndex"]
    assert c.kv.get("py/b/c")[1]["Value"] == b"\x00\xff\x80"
    assert c.kv.get("py/empty")[1]["Value"] is None
    assert c.kv.get("py/", keys=True)[1] == ["py/a", "py/b/c", "py/empty"]
    assert c.kv.get("py/", keys=True, separator="/")[1] == ["py/a", "py/b/", "py/empty"]
    assert [pair["Key"] for pair in c.kv.get("py/", recurse=True)[1]] == ["py/a", "py/b/c", "py/empty"]
    assert c.kv.delete("py/a") is True
    assert c.kv.get("py/a")[1] is None
    assert c.kv.delete("py/", recurse=True) is True
    assert c.kv.get("py/", recurse=True)[1] is None


@step
def names_of_keys(c):
    """kv: keys with spaces, percent signs and letters of other alphabets"""
    for key in ("py odd/a b", "py odd/50%", "py odd/größe", "py odd/a+b&c=d", "py odd/鍵"):
        assert c.kv.put(key, key)
        assert c.kv.get(key)[1]["Key"] == key
    assert len(c.kv.get("py odd/", recurse=True)[1]) == 5
    assert c.kv.delete("py odd/", recurse=True)


@step
def compare_and_set(c):
    """kv: compare and set, compare and delete"""
    assert c.kv.put("py-cas", "1", cas=0) is True
    assert c.kv.put("py-cas", "2", cas=0) is False
    index = c.kv.get("py-cas")[1]["ModifyIndex"]
    assert c.kv.put("py-cas", "2", cas=index) is True
    assert c.kv.delete("py-cas", cas=index) is False
    assert c.kv.delete("py-cas", cas=c.kv.get("py-cas")[1]["ModifyIndex"]) is True


@step
def wait_for_key(c):
    """kv: a blocking read wakes up for its key and not for another"""
    c.kv.put("py-wait", "1")
    index, _ = c.kv.get("py-wait")
    start = time.monotonic()
    c.kv.put("py-other", "1")
    assert c.kv.get("py-wait", index=index, wait="500ms")[0] == index
    assert time.monotonic() - start >= 0.5
    later(lambda: c.kv.put("py-wait", "2"))
    newer, pair = c.kv.get("py-wait", index=index, wait="20s")
    assert int(newer) > int(index) and pair["Value"] == b"2"
    # A key that is not there yet.
    index, nothing = c.kv.get("py-absent")
    assert nothing is None
    later(lambda: c.kv.put("py-absent", "now"))
    deadline = time.monotonic() + 20
    while (found := c.kv.get("py-absent", index=index, wait="20s"))[1] is None and time.monotonic() < deadline:
        index = found[0]
    assert found[1]["Value"] == b"now"
    for key in ("py-wait", "py-other", "py-absent"):
        c.kv.delete(key)


@step
def consistency(c):
    """every consistency mode answers"""
    c.kv.put("py-mode", "x")
    for mode in ("default", "consistent", "stale"):
        assert c.kv.get("py-mode", consistency=mode)[1]["Value"] == b"x"
        assert NODE in [node["Node"] for node in c.catalog.nodes(consistency=mode)[1]]
    c.kv.delete("py-mode")


@step
def transaction(c):
    """txn: writes and reads together, and nothing of one that fails"""

    def value(text):
        return base64.b64encode(text).decode()

    answer = c.txn.put(
        [
            {"KV": {"Verb": "set", "Key": "py-txn/a", "Value": value(b"1")}},
            {"KV": {"Verb": "cas", "Key": "py-txn/b", "Value": value(b"2"), "Index": 0}},
            {"KV": {"Verb": "get-tree", "Key": "py-txn/"}},
        ]
    )
    assert answer["Errors"] is None, answer
    assert [result["KV"]["Key"] for result in answer["Results"]][-2:] == ["py-txn/a", "py-txn/b"]
    assert answer["Results"][-1]["KV"]["Value"] == value(b"2")
    refused(
        consul.exceptions.ClientError,
        lambda: c.txn.put(
            [
                {"KV": {"Verb": "set", "Key": "py-txn/c", "Value": value(b"3")}},
                {"KV": {"Verb": "check-index", "Key": "py-txn/a", "Index": 1}},
            ]
        ),
        "409",
    )
    assert c.kv.get("py-txn/c")[1] is None
    c.kv.delete("py-txn/", recurse=True)


@step
def catalog(c):
    """catalog: register, read by node, service, tag and metadata, deregister"""
    assert c.catalog.register(
        "py-node",
        "192.0.2.7",
        service={"Service": "py-db", "ID": "py-db-1", "Tags": ["primary"], "Port": 5432, "Meta": {"v": "1"}},
        check={"Name": "up", "CheckID": "py-up", "Status": "passing", "ServiceID": "py-db-1"},
    )
    # The library sends `node_meta` of a registration where no server looks for it, so that a transaction sets it.
    node = {"Node": "py-node", "Address": "192.0.2.7", "Meta": {"rack": "7"}}
    assert c.txn.put([{"Node": {"Verb": "set", "Node": node}}])["Errors"] is None
    assert c.catalog.services()[1]["py-db"] == ["primary"]
    (entry,) = c.catalog.service("py-db", tag="primary")[1]
    assert (entry["Node"], entry["Address"], entry["ServicePort"], entry["ServiceMeta"]) == (
        "py-node",
        "192.0.2.7",
        5432,
        {"v": "1"},
    )
    assert c.catalog.service("py-db", tag="absent")[1] == []
    assert [node["Node"] for node in c.catalog.nodes(node_meta={"rack": "7"})[1]] == ["py-node"]
    assert "py-db" in c.catalog.services(node_meta={"rack": "7"})[1]
    assert list(c.catalog.node("py-node")[1]["Services"]) == ["py-db-1"]
    assert c.catalog.node("absent")[1] is None
    assert c.catalog.service("py-db", filter_expr='ServiceMeta.v == "1"')[1]
    assert c.catalog.service("py-db", filter_expr='ServiceMeta.v == "2"')[1] == []
    refused(ConsulException, lambda: c.catalog.service("py-db", filter_expr="v =="), "boolean expression")
    assert c.catalog.datacenters() == ["dc1"]
    assert c.health.service("py-db", passing=True)[1]
    assert c.catalog.deregister("py-node", check_id="py-up")
    assert c.health.checks("py-db")[1] == []
    assert c.catalog.deregister("py-node", service_id="py-db-1")
    assert c.catalog.service("py-db")[1] == []
    assert c.catalog.deregister("py-node")
    assert c.catalog.node("py-node")[1] is None


@step
def agent(c):
    """agent: self, members, services, checks, metrics, log, reload"""
    assert c.agent.self()["Config"]["NodeName"] == NODE
    assert [member["Name"] for member in c.agent.members()] == [NODE]
    assert c.agent.services() == {} and c.agent.checks() == {}
    assert {"Gauges", "Counters", "Samples", "Timestamp"} <= set(c.agent.metrics())
    assert c.agent.reload() is True


@step
def service_with_ttl(c):
    """agent: a service with a TTL check passes, warns, fails and passes"""
    assert c.agent.service.register(
        "py-web",
        service_id="py-web-1",
        address="127.0.0.1",
        port=8080,
        tags=["a", "b"],
        meta={"version": "1"},
        weights={"Passing": 3, "Warning": 1},
        check=consul.Check.ttl("30s"),
    )
    registered = c.agent.services()["py-web-1"]
    assert (registered["Port"], registered["Tags"], registered["Weights"]) == (
        8080,
        ["a", "b"],
        {"Passing": 3, "Warning": 1},
    )
    assert list(c.agent.services(filter_expr='Service == "py-web"')) == ["py-web-1"]
    assert c.agent.service_definition("py-web-1")["ContentHash"]
    check = "service:py-web-1"
    assert c.agent.checks()[check]["Status"] == "critical"
    until(lambda: c.catalog.service("py-web")[1])
    for change, wanted in (
        (c.agent.check.ttl_pass, "passing"),
        (c.agent.check.ttl_warn, "warning"),
        (c.agent.check.ttl_fail, "critical"),
        (c.agent.check.ttl_pass, "passing"),
    ):
        assert change(check, notes=f"now {wanted}")
        seen = until(lambda: c.health.checks("py-web")[1], lambda checks: checks[0]["Status"] == wanted)
        assert seen[0]["Output"] == f"now {wanted}"
    assert len(c.health.service("py-web", passing=True, tag="a")[1]) == 1


@step
def wait_for_health(c):
    """health: a blocking read sees a check fail and recover"""
    check = "service:py-web-1"
    index, entries = c.health.service("py-web", passing=True)
    assert len(entries) == 1
    later(lambda: c.agent.check.ttl_fail(check))
    newer, entries = c.health.service("py-web", passing=True, index=index, wait="20s")
    assert entries == [] and int(newer) > int(index)
    later(lambda: c.agent.check.ttl_pass(check))
    assert len(c.health.service("py-web", passing=True, index=newer, wait="20s")[1]) == 1
    assert any(entry["CheckID"] == check for entry in c.health.state("passing")[1])
    assert any(entry["CheckID"] == "serfHealth" for entry in c.health.node(NODE)[1])


@step
def checks(c):
    """agent: checks of the node, by script, HTTP, TCP; deregistration"""
    address, port = c.http.host, c.http.port
    assert c.agent.check.register("script", consul.Check.script(["true"], "1s"), check_id="py-script")
    assert c.agent.check.register(
        "http", consul.Check.http(f"http://{address}:{port}/v1/status/leader", "1s", timeout="1s"), check_id="py-http"
    )
    assert c.agent.check.register("tcp", consul.Check.tcp(address, port, "1s"), check_id="py-tcp")
    assert c.agent.check.register("of a service", consul.Check.ttl("30s"), check_id="py-of", service_id="py-web-1")
    assert c.agent.check.register("lost", consul.Check.ttl("30s"), service_id="absent") is False
    for name in ("py-script", "py-http", "py-tcp"):
        until(lambda: c.agent.checks()[name], lambda check: check["Status"] == "passing")
    for name in ("py-script", "py-http", "py-tcp", "py-of"):
        assert c.agent.check.deregister(name)
    assert list(c.agent.checks()) == ["service:py-web-1"]


@step
def maintenance(c):
    """agent: maintenance of a service and of the node"""
    assert c.agent.service.maintenance("py-web-1", True, "new disk")
    until(lambda: c.health.service("py-web", passing=True)[1], lambda entries: entries == [])
    assert c.agent.checks()["_service_maintenance:py-web-1"]["Notes"] == "new disk"
    assert c.agent.service.maintenance("py-web-1", False)
    until(lambda: c.health.service("py-web", passing=True)[1])
    assert c.agent.maintenance(True, "moving")
    assert c.agent.checks()["_node_maintenance"]["Status"] == "critical"
    assert c.agent.maintenance(False)
    assert "_node_maintenance" not in c.agent.checks()


@step
def query(c):
    """query: create, get, list, execute, explain, update, delete"""
    made = c.query.create("py-web", name="py-query", tags=["a"], onlypassing=True, ttl="7s", regexp="")["ID"]
    (definition,) = c.query.get(made)
    assert definition["Name"] == "py-query" and definition["DNS"]["TTL"] == "7s"
    assert made in [entry["ID"] for entry in c.query.list()]
    answer = until(lambda: c.query.execute("py-query"), lambda answer: answer["Nodes"])
    assert answer["Nodes"][0]["Service"]["ID"] == "py-web-1" and answer["DNS"]["TTL"] == "7s"
    assert c.query.execute("py-query-and-more", limit=1)["Nodes"]
    assert c.query.explain("py-query-and-more")["Query"]["Service"]["Service"] == "py-web"
    assert c.query.update(made, "py-web", name="py-query", tags=["absent"])
    assert c.query.execute("py-query")["Nodes"] == []
    # The library makes a template of every query, and those have no answer by their id.
    refused(ConsulException, lambda: c.query.execute(made), "only be resolved up by name")
    assert c.query.delete(made)
    assert c.query.get(made) is None


@step
def deregister(c):
    """agent: a service goes, and its checks with it"""
    assert c.agent.service.deregister("py-web-1")
    assert c.agent.services() == {} and c.agent.checks() == {}
    until(lambda: c.catalog.service("py-web")[1], lambda entries: entries == [])


@step
def sessions(c):
    """session: create, info, node, list, renew, destroy"""
    session = c.session.create(name="py", ttl=15, lock_delay=0, behavior="delete")
    _, info = c.session.info(session)
    assert (info["Name"], info["Node"], info["TTL"], info["Behavior"]) == ("py", NODE, "15s", "delete")
    assert session in [entry["ID"] for entry in c.session.node(NODE)[1]]
    assert session in [entry["ID"] for entry in c.session.list()[1]]
    assert c.session.renew(session)["ID"] == session
    assert c.session.destroy(session) is True
    assert c.session.info(session)[1] is None
    refused(consul.NotFound, lambda: c.session.renew(session), "not found")


@step
def lock(c):
    """lock: one holder; the next one is woken when the session goes"""
    first, second = (c.session.create(name=name, ttl=15, lock_delay=0) for name in ("first", "second"))
    assert c.kv.put("py-lock", "first", acquire=first) is True
    assert c.kv.put("py-lock", "second", acquire=second) is False
    index, pair = c.kv.get("py-lock")
    assert (pair["Session"], pair["LockIndex"]) == (first, 1)
    later(lambda: c.session.destroy(first))
    _, pair = c.kv.get("py-lock", index=index, wait="20s")
    assert "Session" not in pair and pair["Value"] == b"first"
    until(lambda: c.kv.put("py-lock", "second", acquire=second))
    assert c.kv.get("py-lock")[1]["LockIndex"] == 2
    assert c.kv.put("py-lock", "free", release=second) is True
    c.session.destroy(second)
    c.kv.delete("py-lock")


@step
def events(c):
    """event: fire, list, wait for the next"""
    fired = c.event.fire("py-deploy", body="v1")
    until(lambda: c.event.list("py-deploy")[1])
    index, listed = c.event.list("py-deploy")
    assert listed[-1]["ID"] == fired["ID"] and listed[-1]["Payload"] == b"v1"
    later(lambda: c.event.fire("py-deploy", body="v2"))
    _, listed = c.event.list("py-deploy", index=index, wait="20s")
    assert listed[-1]["Payload"] == b"v2"


@step
def coordinates(c):
    """coordinate: nodes, node, datacenters, update"""
    until(lambda: c.coordinate.nodes()[1], lambda nodes: any(node["Node"] == NODE for node in nodes), 45)
    assert len(c.coordinate.node(NODE)[1][0]["Coord"]["Vec"]) == 8
    assert c.coordinate.datacenters()[0]["Datacenter"] == "dc1"
    c.catalog.register("py-far", "192.0.2.8")
    place = {"Vec": [0.1] * 8, "Error": 1.5, "Adjustment": 0, "Height": 0.00001}
    assert c.coordinate.update("py-far", place)
    found = until(
        lambda: c.coordinate.nodes()[1], lambda nodes: any(node["Node"] == "py-far" for node in nodes), 20
    )
    assert [node["Coord"]["Vec"] for node in found if node["Node"] == "py-far"] == [[0.1] * 8]
    c.catalog.deregister("py-far")


@step
def operator(c):
    """operator: raft, autopilot, usage"""
    (server,) = c.operator.raft_config()["Servers"]
    assert server["Leader"] and server["Voter"]
    configuration = c.operator.autopilot_configuration()
    assert c.operator.update_autopilot_configuration(cleanup_dead_servers=True, cas=configuration["ModifyIndex"])
    assert c.operator.autopilot_health()["Healthy"]
    assert c.operator.usage()["Usage"]["dc1"]["Nodes"] == 1


@step
def configuration_entries(c):
    """config: set, get, list, delete"""
    assert c.config.set("service-defaults", "py-web", {"Protocol": "http"}) is True
    entry = c.config.get("service-defaults", "py-web")
    assert entry["Protocol"] == "http"
    assert c.config.set("service-defaults", "py-web", {"Protocol": "tcp"}, cas=entry["ModifyIndex"] - 1) is False
    assert [entry["Name"] for entry in c.config.list("service-defaults")] == ["py-web"]
    assert c.config.delete("service-defaults", "py-web") is True
    assert c.config.get("service-defaults", "py-web") is None


@step
def intentions(c):
    """connect: intentions are kept, listed, matched and checked"""
    assert c.connect.intentions.upsert("py-a", "py-b", action="deny", description="not these two") is True
    intention = c.connect.intentions.read("py-a", "py-b")
    assert (intention["Action"], intention["Description"]) == ("deny", "not these two")
    assert [entry["SourceName"] for entry in c.connect.intentions.list()] == ["py-a"]
    assert [entry["SourceName"] for entry in c.connect.intentions.match("destination", "py-b")["py-b"]] == ["py-a"]
    assert c.connect.intentions.check("py-a", "py-b") is False
    assert c.connect.intentions.check("py-c", "py-b") is True
    assert c.connect.intentions.delete("py-a", "py-b") is True
    assert c.connect.intentions.list() == []


@step
def snapshot(c):
    """snapshot: save, change, restore"""
    c.kv.put("py-kept", "before")
    saved = c.snapshot.save()
    assert saved[:2] == b"\x1f\x8b"
    c.kv.put("py-kept", "after")
    c.kv.put("py-new", "after")
    assert c.snapshot.restore(saved) is True
    # What waits for the server to settle is part of a restore.
    pair = until(lambda: c.kv.get("py-kept")[1])
    assert pair["Value"] == b"before" and c.kv.get("py-new")[1] is None
    refused(ConsulException, lambda: c.snapshot.restore(b"this is no archive"))
    c.kv.delete("py-kept")


@step
def access_control(c):
    """acl: every call says that it is off"""
    refused(ACLDisabled, c.acl.token.list, "ACL support disabled")
    refused(ACLDisabled, c.acl.policy.list, "ACL support disabled")


@step
def datacenter(c):
    """an unknown datacenter is refused"""
    refused(ConsulException, lambda: c.catalog.nodes(dc="nowhere"), "No path to datacenter")


if __name__ == "__main__":
    with consul.Consul() as client:
        play(client)
