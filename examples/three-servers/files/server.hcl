# The same on all three; each adds its own -node, -bind and -client.
datacenter       = "host-1"
data_dir         = "/var/lib/ryo"
server           = true
bootstrap_expect = 3
retry_join       = ["10.1.1.11", "10.1.1.12", "10.1.1.13"]
retry_interval   = "1s"
