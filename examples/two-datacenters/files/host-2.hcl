# The registry of host 2: one side names the other, and both know each other from then on.
datacenter         = "host-2"
data_dir           = "/var/lib/ryo"
server             = true
bootstrap_expect   = 1
bind_addr          = "10.2.1.11"
client_addr        = "10.2.1.11"
retry_join_wan     = ["10.1.1.11"]
retry_interval_wan = "1s"
encrypt            = "cnlvIGV4YW1wbGUga2V5IQ=="
