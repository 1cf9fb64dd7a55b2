# Every other container: which server it finds first does not matter.
datacenter     = "host-1"
data_dir       = "/opt/ryo"
retry_join     = ["10.1.1.11", "10.1.1.12", "10.1.1.13"]
retry_interval = "1s"

service {
  name = "web"
  port = 80
}
