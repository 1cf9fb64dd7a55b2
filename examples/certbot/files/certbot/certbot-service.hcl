# For the agent in certbot's container, /etc/ryo.d: where proxies send the authority's questions.
service {
  name = "certbot"
  port = 8080
}
