"""The round of py-consul's asyncio client: many waits at once on one connection pool."""

import asyncio

import consul
import consul.aio

from steps import play, step

# The pool of the client has a hundred connections, and the write needs one.
WAITERS = 90


@step
async def keys(c):
    """asyncio: kv put, get, compare and set, delete"""
    assert await c.kv.put("aio/a", "1") is True
    index, pair = await c.kv.get("aio/a")
    assert pair["Value"] == b"1"
    assert await c.kv.put("aio/a", "2", cas=pair["ModifyIndex"]) is True
    assert await c.kv.put("aio/a", "3", cas=pair["ModifyIndex"]) is False
    assert await c.kv.delete("aio/", recurse=True) is True
    assert (await c.kv.get("aio/a"))[1] is None


@step
async def waiters(c):
    """asyncio: ninety blocking reads wake up for one write"""
    await c.kv.put("aio/wait", "1")
    index, _ = await c.kv.get("aio/wait")
    waiting = [asyncio.ensure_future(c.kv.get("aio/wait", index=index, wait="20s")) for _ in range(WAITERS)]
    await asyncio.sleep(0.5)
    assert not any(task.done() for task in waiting)
    await c.kv.put("aio/wait", "2")
    answers = await asyncio.wait_for(asyncio.gather(*waiting), 10)
    assert all(pair["Value"] == b"2" for _, pair in answers)
    await c.kv.delete("aio/wait")


@step
async def services(c):
    """asyncio: services at once, their health, and gone again"""
    names = [f"aio-{number}" for number in range(20)]
    registered = (c.agent.service.register(name, port=80, check=consul.Check.ttl("30s")) for name in names)
    assert all(await asyncio.gather(*registered))
    assert all(await asyncio.gather(*(c.agent.check.ttl_pass(f"service:{name}") for name in names)))

    async def passing(name):
        index = None
        while True:
            index, entries = await c.health.service(name, passing=True, index=index, wait="10s")
            if entries:
                return entries

    found = await asyncio.gather(*(passing(name) for name in names))
    assert [entries[0]["Service"]["Service"] for entries in found] == names
    assert all(await asyncio.gather(*(c.agent.service.deregister(name) for name in names)))


@step
async def lock(c):
    """asyncio: twenty contend for a lock, one at a time"""
    inside, most = 0, 0

    async def turn(number):
        nonlocal inside, most
        session = await c.session.create(name=f"aio {number}", ttl=30, lock_delay=0)
        index = None
        while not await c.kv.put("aio-lock", "", acquire=session):
            index, _ = await c.kv.get("aio-lock", index=index, wait="1s")
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1
        await c.kv.put("aio-lock", "", release=session)
        await c.session.destroy(session)

    await asyncio.gather(*(turn(number) for number in range(20)))
    assert most == 1, most
    assert (await c.kv.get("aio-lock"))[1]["LockIndex"] == 20
    await c.kv.delete("aio-lock")


@step
async def snapshot(c):
    """asyncio: snapshot as bytes"""
    assert (await c.snapshot.save())[:2] == b"\x1f\x8b"


@step
async def close(c):
    """asyncio: the pool closes"""
    await c.http.close()


async def connect():
    return consul.aio.Consul()


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    play(loop.run_until_complete(connect()))
