# What a web container offers, /etc/ryo.d/web-service.hcl.
service {
  name = "web"
  port = 80
  check = { name = "answers", http = "http://127.0.0.1/", interval = "1s", timeout = "10s" }
}
