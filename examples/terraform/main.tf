# What a deployment lays into the registry: routes of the proxy, a project's own keys, and a service on a machine without an agent.
terraform {
  required_providers {
    consul = { source = "hashicorp/consul", version = "~> 2.12" }
  }
}

variable "registry" {
  type        = string
  description = "Address of a registry or an agent, [fd10:10:10:1::1]:8500"
}

variable "datacenter" {
  type        = string
  description = "The host's name; each question is asked with dc=…"
}

variable "colour" {
  type    = string
  default = "green"
}

provider "consul" {
  address    = var.registry
  scheme     = "http"
  datacenter = var.datacenter
}

# Routes are keys; a backend is one without a value.
resource "consul_keys" "routes" {
  key {
    path   = "service/haproxy/backends/no-ssl/shop-web"
    value  = ""
    delete = true
  }
  key {
    path   = "service/haproxy/acl/shop/host"
    value  = "shop.example.org"
    delete = true
  }
  key {
    path   = "service/haproxy/use-backend/shop"
    value  = "shop-web"
    delete = true
  }
  # Stays when all else is destroyed.
  key {
    path  = "service/certbot/shop.example.org"
    value = "admin@example.org"
  }
}

# A prefix of one's own: whatever else appears below it is taken away.
resource "consul_key_prefix" "shop" {
  path_prefix = "shop/"
  subkeys = {
    "colour"        = var.colour
    "database/name" = "shop"
    "empty"         = ""
  }
  subkey {
    path  = "database/port"
    value = "5432"
    flags = 42
  }
}

resource "consul_node" "printer" {
  name    = "printer"
  address = "10.1.1.99"
  meta    = { place = "hall" }
}

resource "consul_service" "print" {
  name    = "print"
  node    = consul_node.printer.name
  port    = 631
  tags    = ["colour"]
  meta    = { paper = "a4" }
  weights = { passing = 10 }

  check {
    check_id = "print:paper"
    name     = "paper"
    status   = "passing"
    http     = "http://10.1.1.99:631/"
    interval = "30s"
    timeout  = "5s"
    header {
      name  = "Host"
      value = ["printer"]
    }
  }
}

# What has been laid there, read back.
data "consul_keys" "read" {
  key {
    name = "host"
    path = "service/haproxy/acl/shop/host"
  }
  key {
    name    = "missing"
    path    = "service/haproxy/acl/nobody/host"
    default = "none"
  }
  depends_on = [consul_keys.routes]
}

data "consul_key_prefix" "read" {
  path_prefix = "shop/"
  depends_on  = [consul_key_prefix.shop]
}

data "consul_service" "read" {
  name       = "print"
  depends_on = [consul_service.print]
}

output "read" {
  value = {
    host    = data.consul_keys.read.var.host
    missing = data.consul_keys.read.var.missing
    shop    = data.consul_key_prefix.read.subkeys
    print   = [for instance in data.consul_service.read.service : "${instance.node_address}:${instance.port}"]
  }
}
