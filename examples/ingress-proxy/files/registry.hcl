# The registry's container: one server at a static address, its data on a folder of the host.
datacenter       = "host-1"
domain           = "ryo"
node_name        = "registry"
data_dir         = "@DIR@/data"
server           = true
bootstrap_expect = 1
bind_addr        = "@ADDRESS@"
client_addr      = "@ADDRESS@"
ui_config = {
  enabled = true
}
dns_config = {
  enable_truncate = true
  a_record_limit  = 100
}
