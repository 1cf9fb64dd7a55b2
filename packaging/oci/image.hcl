# What progrium/consul configures; read when the first word after the image's name is a flag. Files in /config and flags win.
data_dir = "/data"
client_addr = "0.0.0.0"
ports { dns = 53 }
