"""A pair of PostgreSQL servers under Patroni: elects, fails over, recovers. Each step needs the one before.

pair.py FOLDER POSTGRES_PROGRAMS NAME=AGENT_ADDRESS,AGENT_PROCESS,POSTGRES_PORT,REST_PORT ...
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import consul
import psycopg

from steps import play, step, until

# The shortest that Patroni and Consul's sessions take together, in seconds.
TTL = 20
# Much longer than a session lives after its last sign of life.
PATIENCE = 90
PASSWORD = "a password for loopback only"


class Member:
    """One of the pair: Patroni with its PostgreSQL, and the agent that it speaks to."""

    def __init__(self, text, folder, programs):
        self.name, rest = text.split("=")
        self.agent, agent_process, self.port, self.rest = rest.split(",")
        self.agent_process = int(agent_process)
        self.folder = folder / f"patroni-{self.name}"
        self.programs = programs
        self.process = None
        self.folder.mkdir()
        (self.folder / "patroni.json").write_text(json.dumps(self.configuration()))

    def configuration(self):
        dynamic = {"ttl": TTL, "loop_wait": 2, "retry_timeout": 4, "maximum_lag_on_failover": 1048576}
        dynamic["postgresql"] = {"use_pg_rewind": True, "parameters": {"wal_keep_size": "64MB"}}
        account = {"username": "postgres", "password": PASSWORD}
        return {
            "scope": "pair",
            "name": self.name,
            "restapi": {"listen": f"127.0.0.1:{self.rest}", "connect_address": f"127.0.0.1:{self.rest}"},
            "consul": {"host": self.agent, "register_service": True},
            "bootstrap": {"dcs": dynamic, "initdb": [{"encoding": "UTF8"}, {"auth": "md5"}, "data-checksums"]},
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}",
                "connect_address": f"127.0.0.1:{self.port}",
                "data_dir": str(self.folder / "data"),
                "bin_dir": self.programs,
                "pgpass": str(self.folder / "pgpass"),
                "authentication": {"superuser": account, "replication": account, "rewind": account},
                "parameters": {"unix_socket_directories": str(self.folder), "fsync": "off"},
                "pg_hba": [
                    "host all all 127.0.0.1/32 md5",
                    "host replication all 127.0.0.1/32 md5",
                ],
            },
        }

    def start(self):
        with open(self.folder / "log", "ab") as log:
            program = pathlib.Path(sys.executable).with_name("patroni")
            self.process = subprocess.Popen(
                [program, self.folder / "patroni.json"],
                stdout=log, stderr=log, start_new_session=True, cwd=self.folder,
            )

    def kill(self):
        """Ends Patroni and PostgreSQL at once, as a power cut does. PostgreSQL's own processes end with the first of them."""
        postmaster = self.folder / "data" / "postmaster.pid"
        found = int(postmaster.read_text().splitlines()[0]) if postmaster.exists() else None
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
        if found:
            try:
                os.kill(found, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def role(self):
        """What the member says that it is: primary, replica or None."""
        for role in ("primary", "replica"):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.rest}/{role}", timeout=2):
                    return role
            except OSError:
                pass
        return None

    def write(self, number):
        """Writes a row, as soon as the member takes writes: it says that it leads a moment before."""

        def written():
            try:
                self.ask(f"INSERT INTO kept VALUES ({number})")
                return True
            except psycopg.errors.ReadOnlySqlTransaction:
                return False

        until(written)

    def ask(self, sql):
        where = f"host=127.0.0.1 port={self.port} user=postgres password='{PASSWORD}' connect_timeout=2"
        with psycopg.connect(where, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else None


class Pair:
    def __init__(self, members):
        self.members = members
        self.leader = self.follower = None

    def settle(self, leader=None):
        """Waits until one leads, the wanted one when it is named, and the other follows."""

        def roles():
            return {member.role(): member for member in self.members}

        seen = until(
            roles,
            lambda roles: {"primary", "replica"} <= set(roles) and leader in (None, roles["primary"]),
            PATIENCE,
        )
        self.leader, self.follower = seen["primary"], seen["replica"]

    def catalog_agrees(self):
        """The leader is found by its tag and nobody else is, and passes its check."""
        registry = consul.Consul()

        def ports(tag):
            return [entry["Service"]["Port"] for entry in registry.health.service("pair", tag=tag, passing=True)[1]]

        until(lambda: ports("primary"), lambda found: found == [int(self.leader.port)], PATIENCE)
        until(lambda: ports("replica"), lambda found: found == [int(self.follower.port)], PATIENCE)

    def has(self, member, rows):
        def count():
            try:
                return member.ask("SELECT count(*) FROM kept")[0][0]
            except psycopg.Error:
                return None

        until(count, lambda seen: seen == rows, PATIENCE)


@step
def elect(pair):
    """one of the two becomes the leader, and the other follows it"""
    for member in pair.members:
        member.start()
    pair.settle()
    key = consul.Consul().kv.get("service/pair/leader")[1]
    assert key["Value"].decode() == pair.leader.name and key["Session"], key


@step
def find(pair):
    """clients find the leader and the follower by their tags"""
    pair.catalog_agrees()


@step
def replicate(pair):
    """what the leader writes reaches the follower"""
    pair.leader.ask("CREATE TABLE kept (number int)")
    pair.leader.write(1)
    pair.has(pair.follower, 1)


@step
def fail_over(pair):
    """the leader is killed: the other one leads, with all that was written"""
    lost, heir = pair.leader, pair.follower
    lost.kill()
    until(heir.role, lambda role: role == "primary", PATIENCE)
    pair.has(heir, 1)
    heir.write(2)


@step
def recover(pair):
    """the killed one comes back and follows"""
    (lost,) = (member for member in pair.members if member.process is None)
    lost.start()
    pair.settle()
    assert pair.follower is lost
    pair.has(lost, 2)
    pair.catalog_agrees()


@step
def switch_over(pair):
    """an operator hands the lead over"""
    heir = pair.follower
    program = pathlib.Path(sys.executable).with_name("patronictl")
    subprocess.run(
        [program, "-c", heir.folder / "patroni.json", "switchover", "pair", "--candidate", heir.name, "--force"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PATIENCE,
    )
    pair.settle(leader=heir)
    pair.leader.write(3)
    pair.has(pair.follower, 3)


@step
def lose_agent(pair):
    """the leader's agent hangs: it steps down, and the other one leads"""
    cut, heir = pair.leader, pair.follower
    os.kill(cut.agent_process, signal.SIGSTOP)
    until(cut.role, lambda role: role != "primary", PATIENCE)
    until(heir.role, lambda role: role == "primary", PATIENCE)
    heir.write(4)


@step
def regain_agent(pair):
    """the agent goes on: its server follows again"""
    for member in pair.members:
        os.kill(member.agent_process, signal.SIGCONT)
    pair.settle()
    pair.has(pair.follower, 4)
    pair.catalog_agrees()


def main():
    folder, programs = pathlib.Path(sys.argv[1]), sys.argv[2]
    pair = Pair([Member(text, folder, programs) for text in sys.argv[3:]])
    try:
        play(pair, go_on=False)
    except SystemExit as ended:
        if ended.code:
            for member in pair.members:
                print(f"-- the last lines of {member.name}:")
                print("\n".join((member.folder / "log").read_text().splitlines()[-15:]))
        raise
    finally:
        for member in pair.members:
            member.kill()


if __name__ == "__main__":
    main()
