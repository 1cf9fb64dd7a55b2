# The agent of every other container.
datacenter     = "host-1"
domain         = "ryo"
node_name      = "@NODE@"
data_dir       = "@DIR@/data"
server         = false
bind_addr      = "@ADDRESS@"
client_addr    = "@ADDRESS@"
retry_join     = [
  "@REGISTRY@",
]
retry_interval = "10s"
