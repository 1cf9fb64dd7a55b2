// The round of npm's consul: each part of its interface that a registry without a mesh and without ACLs answers.

const Consul = require("consul");
const { assert, pause, play, until } = require("./steps");

const NODE = "clients";
const [host, port] = process.env.CONSUL_HTTP_ADDR.split(":");
const consul = new Consul({ host, port: Number(port) });

/** Collects what a watch reports; `next` waits for one more change. */
function follow(method, options) {
  const watch = consul.watch({ method, options: { wait: "20s", ...options } });
  const changes = [];
  const errors = [];
  watch.on("change", (data) => changes.push(data));
  watch.on("error", (error) => errors.push(error));
  return {
    errors,
    changes,
    end: () => watch.end(),
    next: (wanted) => until(() => changes.find(wanted)),
  };
}

play({
  "status: leader and peers": async () => {
    assert((await consul.status.peers()).includes(await consul.status.leader()));
  },

  "kv: set, get, flags, keys, recurse, buffer, delete": async () => {
    assert.equal(await consul.kv.set({ key: "js/a", value: "one", flags: 42 }), true);
    assert.equal(await consul.kv.set("js/b/c", Buffer.from([0, 255, 128])), true);
    const pair = await consul.kv.get("js/a");
    assert.deepEqual([pair.Value, pair.Flags, pair.LockIndex], ["one", 42, 0]);
    assert.deepEqual((await consul.kv.get({ key: "js/b/c", buffer: true })).Value, Buffer.from([0, 255, 128]));
    assert.deepEqual(await consul.kv.get({ key: "js/b/c", raw: true }), Buffer.from([0, 255, 128]));
    assert.deepEqual(await consul.kv.keys("js/"), ["js/a", "js/b/c"]);
    assert.deepEqual(await consul.kv.keys({ key: "js/", separator: "/" }), ["js/a", "js/b/"]);
    assert.equal((await consul.kv.get({ key: "js/", recurse: true })).length, 2);
    assert.equal(await consul.kv.get("js/absent"), undefined);
    assert.equal(await consul.kv.del({ key: "js/", recurse: true }), true);
    assert.equal(await consul.kv.get("js/a"), undefined);
  },

  // The library makes "undefined" of an answer "false".
  "kv: compare and set, compare and delete": async () => {
    assert.equal(await consul.kv.set({ key: "js-cas", value: "1", cas: "0" }), true);
    assert.equal(await consul.kv.set({ key: "js-cas", value: "2", cas: "0" }), undefined);
    const { ModifyIndex } = await consul.kv.get("js-cas");
    assert.equal(await consul.kv.set({ key: "js-cas", value: "2", cas: String(ModifyIndex) }), true);
    assert.equal(await consul.kv.del({ key: "js-cas", cas: String(ModifyIndex) }), undefined);
    assert.equal(await consul.kv.del("js-cas"), true);
  },

  "every consistency mode answers": async () => {
    for (const mode of [{}, { stale: true }, { consistent: true }]) {
      assert((await consul.catalog.node.list(mode)).some((node) => node.Node === NODE));
    }
  },

  "transaction: writes and reads together, and nothing of one that fails": async () => {
    const value = (text) => Buffer.from(text).toString("base64");
    const answer = await consul.transaction.create([
      { KV: { Verb: "set", Key: "js-txn/a", Value: value("1") } },
      { KV: { Verb: "get", Key: "js-txn/a" } },
    ]);
    assert.equal(answer.Results[1].KV.Value, value("1"));
    await assert.rejects(
      consul.transaction.create([
        { KV: { Verb: "set", Key: "js-txn/b", Value: value("2") } },
        { KV: { Verb: "check-index", Key: "js-txn/a", Index: 1 } },
      ]),
      { statusCode: 409 },
    );
    assert.equal(await consul.kv.get("js-txn/b"), undefined);
    await consul.kv.del({ key: "js-txn/", recurse: true });
  },

  "catalog: register, nodes, services, deregister": async () => {
    await consul.catalog.register({
      node: "js-node",
      address: "192.0.2.9",
      nodemeta: { rack: "9" },
      service: { service: "js-db", id: "js-db-1", tags: ["primary"], port: 5432 },
      check: { node: "js-node", name: "up", checkid: "js-up", serviceid: "js-db-1", status: "passing" },
    });
    assert.deepEqual((await consul.catalog.service.list())["js-db"], ["primary"]);
    const [entry] = await consul.catalog.service.nodes({ service: "js-db", tag: "primary" });
    assert.deepEqual([entry.Node, entry.Address, entry.ServicePort], ["js-node", "192.0.2.9", 5432]);
    assert.deepEqual(Object.keys((await consul.catalog.node.services("js-node")).Services), ["js-db-1"]);
    const filtered = await consul.catalog.node.list({ "node-meta": ["rack:9"] });
    assert.deepEqual(filtered.map((node) => node.Node), ["js-node"]);
    assert.deepEqual(await consul.catalog.datacenters(), ["dc1"]);
    assert.deepEqual(await consul.catalog.connect.nodes("js-db"), []);
    await consul.catalog.deregister({ node: "js-node" });
    assert.deepEqual(await consul.catalog.service.nodes("js-db"), []);
  },

  "agent: self, members, reload, maintenance": async () => {
    assert.equal((await consul.agent.self()).Config.NodeName, NODE);
    assert.deepEqual((await consul.agent.members()).map((member) => member.Name), [NODE]);
    await consul.agent.reload();
    await consul.agent.maintenance({ enable: true, reason: "moving" });
    assert("_node_maintenance" in (await consul.agent.check.list()));
    await consul.agent.maintenance({ enable: false });
    assert.deepEqual(await consul.agent.check.list(), {});
  },

  "agent: a service with a TTL check passes, warns, fails and passes": async () => {
    await consul.agent.service.register({
      name: "js-web",
      id: "js-web-1",
      address: "127.0.0.1",
      port: 8080,
      tags: ["a", "b"],
      meta: { version: "1" },
      check: { ttl: "30s" },
    });
    assert.equal((await consul.agent.service.list())["js-web-1"].Meta.version, "1");
    const id = "service:js-web-1";
    for (const [change, wanted] of [
      ["pass", "passing"],
      ["warn", "warning"],
      ["fail", "critical"],
      ["pass", "passing"],
    ]) {
      await consul.agent.check[change]({ id, note: `now ${wanted}` });
      const seen = await until(
        async () => (await consul.health.checks("js-web"))[0],
        (check) => check && check.Status === wanted,
      );
      assert.equal(seen.Output, `now ${wanted}`);
    }
    assert.equal((await consul.health.service({ service: "js-web", passing: true, tag: "a" })).length, 1);
    assert((await consul.health.state("passing")).some((check) => check.CheckID === id));
    assert((await consul.health.node(NODE)).some((check) => check.CheckID === "serfHealth"));
  },

  "agent: checks of the node by TTL, script, HTTP and TCP": async () => {
    await consul.agent.check.register({ name: "js ttl", id: "js-ttl", ttl: "30s", notes: "by hand" });
    await consul.agent.check.register({ name: "js script", id: "js-script", args: ["true"], interval: "1s" });
    const http = `http://${host}:${port}/v1/status/leader`;
    await consul.agent.check.register({ name: "js http", id: "js-http", http, interval: "1s", timeout: "1s" });
    await consul.agent.check.register({ name: "js tcp", id: "js-tcp", tcp: `${host}:${port}`, interval: "1s" });
    for (const id of ["js-script", "js-http", "js-tcp"]) {
      await until(async () => (await consul.agent.check.list())[id].Status === "passing");
    }
    for (const id of ["js-ttl", "js-script", "js-http", "js-tcp"]) await consul.agent.check.deregister(id);
  },

  "watch: health of a service, as it fails, recovers and goes": async () => {
    const watch = follow(consul.health.service, { service: "js-web", passing: true });
    await watch.next((entries) => entries.length === 1);
    await consul.agent.check.fail("service:js-web-1");
    await watch.next((entries) => entries.length === 0);
    await consul.agent.check.pass("service:js-web-1");
    await until(() => watch.changes.at(-1).length === 1);
    await consul.agent.service.maintenance({ id: "js-web-1", enable: true, reason: "new disk" });
    await until(() => watch.changes.at(-1).length === 0);
    await consul.agent.service.maintenance({ id: "js-web-1", enable: false });
    await until(() => watch.changes.at(-1).length === 1);
    watch.end();
    assert.deepEqual(watch.errors, []);
  },

  "watch: a key from before it is there until it is gone": async () => {
    const watch = follow(consul.kv.get, { key: "js-watched" });
    await until(() => watch.changes.length === 1);
    assert.equal(watch.changes[0], undefined);
    await consul.kv.set("js-watched", "1");
    await watch.next((pair) => pair && pair.Value === "1");
    await consul.kv.set("js-watched", "2");
    await watch.next((pair) => pair && pair.Value === "2");
    const before = watch.changes.length;
    await consul.kv.set("js-unrelated", "1");
    await pause(300);
    assert.equal(watch.changes.length, before);
    await consul.kv.del("js-watched");
    await until(() => watch.changes.length === before + 1 && watch.changes.at(-1) === undefined);
    watch.end();
    await consul.kv.del("js-unrelated");
    assert.deepEqual(watch.errors, []);
  },

  "watch: the list of services": async () => {
    const watch = follow(consul.catalog.service.list);
    await watch.next((services) => "js-web" in services);
    await consul.agent.service.register({ name: "js-late", port: 1 });
    await watch.next((services) => "js-late" in services);
    await consul.agent.service.deregister("js-late");
    await until(() => !("js-late" in watch.changes.at(-1)));
    watch.end();
    assert.deepEqual(watch.errors, []);
  },

  "query: create, get, list, update, execute, explain, destroy": async () => {
    const { ID } = await consul.query.create({
      name: "js-query",
      service: { service: "js-web", tags: ["a"], onlypassing: true },
      dns: { ttl: "7s" },
    });
    assert.equal((await consul.query.get(ID)).DNS.TTL, "7s");
    assert((await consul.query.list()).some((query) => query.ID === ID));
    const answer = await until(
      () => consul.query.execute("js-query"),
      (answer) => answer.Nodes.length,
    );
    assert.equal(answer.Nodes[0].Service.ID, "js-web-1");
    await consul.query.update({ query: ID, name: "js-query", service: { service: "js-web", tags: ["absent"] } });
    assert.deepEqual((await consul.query.execute(ID)).Nodes, []);
    await consul.query.destroy(ID);
    assert.deepEqual(await consul.query.list(), []);
    const { ID: template } = await consul.query.create({
      name: "js-",
      template: { type: "name_prefix_match" },
      service: { service: "js-${name.suffix}" },
    });
    // The library takes the first of a list that the answer is not, so that this only asks for the status.
    await consul.query.explain("js-web");
    await consul.query.destroy(template);
  },

  "agent: a service goes, and its checks with it": async () => {
    await consul.agent.service.deregister("js-web-1");
    assert.deepEqual(await consul.agent.service.list(), {});
    assert.deepEqual(await consul.agent.check.list(), {});
    await until(async () => (await consul.catalog.service.nodes("js-web")).length === 0);
  },

  "session: create, info, node, list, renew, destroy": async () => {
    const { ID } = await consul.session.create({ name: "js", ttl: "15s", behavior: "delete", lockdelay: "0s" });
    const info = await consul.session.info(ID);
    assert.deepEqual([info.Name, info.Node, info.TTL, info.Behavior], ["js", NODE, "15s", "delete"]);
    assert((await consul.session.node(NODE)).some((session) => session.ID === ID));
    assert((await consul.session.list()).some((session) => session.ID === ID));
    assert.equal((await consul.session.renew(ID))[0].ID, ID);
    await consul.session.destroy(ID);
    assert.equal(await consul.session.info(ID), undefined);
    await assert.rejects(consul.session.renew(ID), { statusCode: 404 });
  },

  "lock: one holder; the next one is woken when the session goes": async () => {
    const [first, second] = await Promise.all(
      ["first", "second"].map(async (name) => (await consul.session.create({ name, ttl: "15s", lockdelay: "0s" })).ID),
    );
    assert.equal(await consul.kv.set({ key: "js-lock", value: "1", acquire: first }), true);
    assert.equal(await consul.kv.set({ key: "js-lock", value: "2", acquire: second }), undefined);
    const watch = follow(consul.kv.get, { key: "js-lock" });
    await watch.next((pair) => pair.Session === first);
    await consul.session.destroy(first);
    await watch.next((pair) => pair.Session === undefined);
    watch.end();
    await until(() => consul.kv.set({ key: "js-lock", value: "2", acquire: second }));
    assert.equal(await consul.kv.set({ key: "js-lock", value: "", release: second }), true);
    await consul.session.destroy(second);
    await consul.kv.del("js-lock");
  },

  "event: fire, list, watch": async () => {
    const watch = follow(consul.event.list, { name: "js-deploy" });
    const fired = await consul.event.fire("js-deploy", "v1");
    // The library leaves what a watch reports in base64.
    const payload = Buffer.from("v1").toString("base64");
    await watch.next((events) => events.some((event) => event.ID === fired.ID && event.Payload === payload));
    watch.end();
    assert.deepEqual(watch.errors, []);
    assert.equal((await consul.event.list("js-deploy")).at(-1).Payload, "v1");
  },

  "acl: every call says that it is off": async () => {
    await assert.rejects(consul.acl.bootstrap(), { statusCode: 401 });
  },

  "errors carry the status and the text": async () => {
    await assert.rejects(consul.catalog.node.list({ dc: "nowhere" }), /No path to datacenter/);
    await assert.rejects(consul.agent.service.deregister("absent"), { statusCode: 404 });
  },
});
