# What all three images have in common. README.md shows how they are built.

variable "deb" {
  type        = string
  description = "The package ryo, a file."
}

variable "version" {
  type        = string
  default     = ""
  description = "Becomes the end of the images' names: ryo-registry-VERSION."
}

variable "base_image" {
  type        = string
  default     = "ryo-base"
  description = "Any image of Debian or Ubuntu with systemd and Python: that of base-image, or \"ubuntu:24.04\"."
}

variable "datacenter" {
  type    = string
  default = "host-1"
}

variable "domain" {
  type    = string
  default = "ryo"
}

variable "registry_address" {
  type        = string
  default     = "10.77.0.10"
  description = "The static address that the registry's container will have; all agents join there."
}

variable "recursors" {
  type        = list(string)
  default     = ["10.77.0.1"]
  description = "Who answers the names of other domains: the bridge's address."
}

locals {
  end = var.version == "" ? "" : "-${var.version}"
  environment = [
    "ANSIBLE_ROLES_PATH=${path.root}/../ansible/roles",
    "ANSIBLE_NOCOLOR=1",
  ]
  # Ansible enters the container by `lxc exec`: no sshd in the image, no key, no address.
  settings = {
    ansible_connection  = "community.general.lxd"
    ryo_install_method  = "deb"
    ryo_deb             = abspath(var.deb)
    ryo_datacenter      = var.datacenter
    ryo_domain          = var.domain
    ryo_bind_addr       = "0.0.0.0"
    ryo_client_addr     = "0.0.0.0"
    ryo_service_state   = "stopped"
    ryo_service_enabled = true
  }
  # One `retry_join` for every container, the registry's own excepted.
  join = { ryo_retry_join = [var.registry_address] }
}
