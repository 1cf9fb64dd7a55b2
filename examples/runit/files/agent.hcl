# /etc/ryo.d/agent.hcl
data_dir    = "/var/lib/ryo"
retry_join  = ["10.1.1.10"]
client_addr = "127.0.0.1"
