# Keys, a prefix, a node and its services, as the public provider for Consul writes them; `dc=` goes with each question.
terraform {
  required_providers {
    consul = { source = "hashicorp/consul" }
  }
}

variable "address" { type = string }

provider "consul" {
  address    = var.address
  scheme     = "http"
  datacenter = "dc1"
}

# A resource a rule, and empty values: the way of rollyourown.xyz's modules.
resource "consul_keys" "certificates" {
  for_each = { "shop.example.org" = "ops@example.org", "wiki.example.org" = "wiki@example.org" }
  key {
    path   = "service/certbot/${each.key}"
    value  = each.value
    delete = true
  }
}

resource "consul_keys" "backends" {
  for_each = toset(["nextcloud", "gitea-http"])
  key {
    path   = "service/haproxy/backends/no-ssl/${each.key}"
    value  = ""
    delete = true
  }
}

resource "consul_keys" "rule" {
  key {
    path   = "service/haproxy/acl/shop/host"
    value  = "shop.example.org"
    delete = true
  }
  key {
    path   = "service/haproxy/acl/shop/path"
    value  = "/a b?c=d&e=%20\nsecond line é"
    delete = true
    flags  = 42
  }
  key {
    name    = "left-to-others"
    path    = "elsewhere/absent"
    default = "nothing"
  }
}

resource "consul_key_prefix" "shop" {
  path_prefix = "shop/"
  subkeys = {
    "port"      = "8080"
    "deep/name" = "shop"
  }
  subkey {
    path  = "flagged"
    value = "yes"
    flags = 7
  }
}

resource "consul_node" "printer" {
  name    = "printer"
  address = "192.0.2.7"
  meta    = { floor = "2" }
}

resource "consul_service" "print" {
  name    = "print"
  node    = consul_node.printer.name
  port    = 631
  address = "192.0.2.8"
  tags    = ["ipp", "colour"]
  meta    = { tray = "3" }

  check {
    check_id                          = "service:print"
    name                              = "answers"
    status                            = "passing"
    http                              = "http://192.0.2.8:631/"
    interval                          = "10s"
    timeout                           = "2s"
    deregister_critical_service_after = "5m0s"
    tls_skip_verify                   = false
    method                            = "GET"
  }
}

resource "consul_service" "scan" {
  name       = "scan"
  service_id = "scan-1"
  node       = consul_node.printer.name
  port       = 6566
}

data "consul_keys" "read" {
  key {
    name = "host"
    path = "service/haproxy/acl/shop/host"
  }
  depends_on = [consul_keys.rule]
}

data "consul_service" "print" {
  name       = "print"
  depends_on = [consul_service.print]
}

output "host" { value = data.consul_keys.read.var.host }
output "print" { value = "${data.consul_service.print.service[0].address}:${data.consul_service.print.service[0].port}" }
