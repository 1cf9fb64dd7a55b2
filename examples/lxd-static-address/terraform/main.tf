# The fleet of README.md by OpenTofu or Terraform: `tofu apply`, after Packer has made the images.
terraform {
  required_providers {
    lxd = { source = "terraform-lxd/lxd", version = "~> 3.0" }
  }
}

provider "lxd" {
  remote {
    name    = "local"
    address = "unix://"
  }
}

variable "image_version" {
  type        = string
  default     = ""
  description = "As given to Packer; a new one replaces the containers, and the registry finds its data again."
}

variable "data" {
  type        = string
  default     = "/var/containers/ryo-registry/data"
  description = "Folder of the host for the registry's data; it must be there."
}

variable "shift" {
  type        = bool
  default     = true
  description = "LXD shifts the owners in that folder; where it cannot, give the folder to the container's root (README.md)."
}

locals {
  end = var.image_version == "" ? "" : "-${var.image_version}"
  containers = {
    proxy = { image = "ryo-ingress-proxy", address = "10.77.0.20" }
    web1  = { image = "ryo-agent", address = "10.77.0.11" }
    web2  = { image = "ryo-agent", address = "10.77.0.12" }
  }
}

resource "lxd_network" "ryobr0" {
  name = "ryobr0"
  config = {
    "ipv4.address" = "10.77.0.1/24"
    "ipv4.nat"     = "true"
    "ipv6.address" = "none"
    "raw.dnsmasq"  = "server=/ryo/10.77.0.10#8600"
  }
}

resource "lxd_profile" "ryo" {
  name   = "ryo"
  config = { "boot.autostart" = "true" }

  device {
    name       = "root"
    type       = "disk"
    properties = { path = "/", pool = "default" }
  }

  # Whoever says no address, as a project's components, gets one from the bridge.
  device {
    name       = "eth0"
    type       = "nic"
    properties = { name = "eth0", network = lxd_network.ryobr0.name }
  }
}

resource "lxd_instance" "registry" {
  name     = "registry"
  image    = "ryo-registry${local.end}"
  profiles = [lxd_profile.ryo.name]

  device {
    name = "eth0"
    type = "nic"
    properties = {
      name           = "eth0"
      network        = lxd_network.ryobr0.name
      "ipv4.address" = "10.77.0.10"
    }
  }

  device {
    name = "data"
    type = "disk"
    properties = merge(
      { source = var.data, path = "/var/lib/ryo" },
      var.shift ? { shift = "true" } : {},
    )
  }
}

# No depends_on: agents wait for their registry.
resource "lxd_instance" "other" {
  for_each = local.containers
  name     = each.key
  image    = "${each.value.image}${local.end}"
  profiles = [lxd_profile.ryo.name]

  device {
    name = "eth0"
    type = "nic"
    properties = {
      name           = "eth0"
      network        = lxd_network.ryobr0.name
      "ipv4.address" = each.value.address
    }
  }
}
