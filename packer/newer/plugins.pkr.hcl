# Only for Packer 1.10 and newer, which has no plugins of its own: `packer init newer` once, then build as ever.
# Debian's Packer (1.6.6) has both built in, and refuses this file.
packer {
  required_plugins {
    lxd = {
      version = ">= 1.0.2"
      source  = "github.com/hashicorp/lxd"
    }
    ansible = {
      version = ">= 1.1.1"
      source  = "github.com/hashicorp/ansible"
    }
  }
}
