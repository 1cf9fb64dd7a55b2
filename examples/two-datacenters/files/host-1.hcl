# The registry of host 1. Its name for others is the datacenter's.
datacenter       = "host-1"
data_dir         = "/var/lib/ryo"
server           = true
bootstrap_expect = 1
bind_addr        = "10.1.1.11"
client_addr      = "10.1.1.11"
# The same key on both hosts: who does not have it is no peer.
encrypt          = "cnlvIGV4YW1wbGUga2V5IQ=="
