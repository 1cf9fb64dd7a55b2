# The image that every component begins with: an agent that joins the registry.

source "lxd" "agent" {
  image              = var.base_image
  output_image       = "ryo-agent${local.end}"
  container_name     = "packer-ryo-agent${local.end}"
  publish_properties = { description = "ryo: agent" }
}

build {
  sources = ["source.lxd.agent"]

  provisioner "ansible" {
    playbook_file    = "${path.root}/playbooks/agent.yml"
    ansible_env_vars = local.environment
    extra_arguments = [
      "--extra-vars", jsonencode(merge(local.settings, local.join, {
        ansible_host = "packer-ryo-agent${local.end}"
      })),
    ]
  }
}
