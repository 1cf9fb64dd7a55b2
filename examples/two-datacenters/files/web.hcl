# A container of either host: HOST is 1 or 2.
datacenter     = "host-HOST"
data_dir       = "/opt/ryo"
bind_addr      = "10.HOST.1.21"
client_addr    = "10.HOST.1.21"
retry_join     = ["10.HOST.1.11"]
retry_interval = "1s"
encrypt        = "cnlvIGV4YW1wbGUga2V5IQ=="

service {
  name = "web"
  port = 80

  check {
    id     = "web"
    name   = "told by hand"
    ttl    = "1h"
    status = "passing"
  }
}
