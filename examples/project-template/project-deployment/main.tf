# The project's containers, each from the image that `packer build -var version=…` made. See examples/lxd-static-address for the
# host, its bridge and the registry.
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

variable "image_version" { type = string }

variable "project_id" {
  type    = string
  default = "shop"
}

resource "lxd_instance" "web" {
  name     = "${var.project_id}-web"
  image    = "${var.project_id}-web-${var.image_version}"
  profiles = ["ryo"]

  device {
    name = "data"
    type = "disk"
    properties = {
      source = "/var/containers/${var.project_id}/web/data"
      path   = "/var/lib/web"
      shift  = "true"
    }
  }
}
