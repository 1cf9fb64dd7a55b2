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

variable "shift" {
  type        = bool
  default     = true
  description = "LXD shifts the owners in the folder; where it cannot, give the folder to the container's root."
}

resource "lxd_instance" "web" {
  name     = "${var.project_id}-web"
  image    = "${var.project_id}-web-${var.image_version}"
  profiles = ["ryo"]

  device {
    name = "data"
    type = "disk"
    properties = merge(
      { source = "/var/containers/${var.project_id}/web/data", path = "/var/lib/web" },
      var.shift ? { shift = "true" } : {},
    )
  }
}
