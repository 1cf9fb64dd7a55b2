# The registry's image: one server, whose data lie on a folder of the host.

source "lxd" "registry" {
  image              = var.base_image
  output_image       = "ryo-registry${local.end}"
  container_name     = "packer-ryo-registry${local.end}"
  publish_properties = { description = "ryo: registry" }
}

build {
  sources = ["source.lxd.registry"]

  provisioner "ansible" {
    playbook_file    = "${path.root}/playbooks/registry.yml"
    ansible_env_vars = local.environment
    extra_arguments = [
      "--extra-vars", jsonencode(merge(local.settings, { recursors = var.recursors }, {
        ansible_host                                               = "packer-ryo-registry${local.end}"
      })),
    ]
  }
}
