# Frappe on Nomad, its volume a Docker volume. README.md says what comes before, and what was checked.
#
#   nomad job run -var rev=v1 frappe.nomad.hcl

variable "rev" {
  description = "The image's tag, which is its revision: it was built with --build-arg IMAGE_REV=<rev>. Nothing else names it."
  type        = string
}

variable "image" {
  type    = string
  default = "frappe-prod-image"
}

locals {
  site    = "erp.example.com"
  db_host = "mariadb.service.consul"
  # The lease lives in the queue's Redis, never in the cache: Frappe empties that one.
  redis_queue = "redis-queue.service.consul:6379"
  redis_cache = "redis-cache.service.consul:6379"
}

# Tasks say `args`, neither `command` nor `entrypoint`: those would replace the image's entrypoint.
job "frappe" {
  datacenters = ["*"]
  type        = "service"

  update {
    # One more than before, which leads; when it serves it is promoted, and the others are replaced one by one.
    canary       = 1
    auto_promote = true
    max_parallel = 1
    # Own deadlines < healthy_deadline < progress_deadline: the numbers of kubernetes/TIMEOUTS.md.
    healthy_deadline  = "810m"
    progress_deadline = "870m"
    # A schema does not go back because an image does.
    auto_revert = false
  }

  # N identical replicas. One leads and makes the revision ready; then all of them serve.
  group "web" {
    count = 3

    # Never "fail": what is not ready yet is tried again until it is.
    restart {
      attempts = 5
      interval = "10m"
      delay    = "15s"
      mode     = "delay"
    }

    network {
      port "http" {
        to = 8000
      }
    }

    service {
      name     = "frappe-web"
      port     = "http"
      provider = "nomad"

      # 200 only. In maintenance a replica is unhealthy, and leaves the service; no `check_restart`: nothing is killed for that.
      check {
        type     = "http"
        path     = "/api/method/ping"
        interval = "10s"
        timeout  = "8s"

        header {
          Host = [local.site]
        }
      }
    }

    task "web" {
      driver       = "docker"
      user         = "1000"
      kill_timeout = "60s"

      config {
        image           = "${var.image}:${var.rev}"
        args            = ["frappe-service", "web"]
        ports           = ["http"]
        readonly_rootfs = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]
        mount {
          type   = "volume"
          source = "frappe-sites"
          target = "/home/frappe/frappe-bench/sites"
        }
        mount {
          type   = "tmpfs"
          target = "/tmp"
        }
        mount {
          type   = "volume"
          source = "frappe-logs"
          target = "/home/frappe/frappe-bench/logs"
        }
      }

      env {
        SITE                  = local.site
        DB_HOST               = local.db_host
        REDIS_QUEUE           = local.redis_queue
        REDIS_CACHE           = local.redis_cache
        ADMIN_PASSWORD_FILE   = "${NOMAD_SECRETS_DIR}/admin-password"
        DB_ROOT_PASSWORD_FILE = "${NOMAD_SECRETS_DIR}/db-root-password"
        BELLWETHER_BACKUP     = "1"
        # An allocation that stays can be worked in: `nomad alloc exec`.
        BELLWETHER_ON_FAILURE      = "hold"
        BELLWETHER_NEEDS_WAIT_SECS = "300"
        STEP_TIMEOUT_SECS          = "3600"
        STEP_MAX_ATTEMPTS          = "3"
        STEP_STALE_SECS            = "120"
        BELLWETHER_STOP_GRACE_SECS = "5"
        BELLWETHER_BACKOFF_SECS    = "10"
      }

      # Files, readable for the task's user alone. As variables (`env = true`) everybody who may see the allocation would
      # see them. Of Vault: {{ with secret "kv/data/frappe" }}{{ .Data.data.admin_password }}{{ end }}.
      template {
        data        = "{{ with nomadVar \"nomad/jobs/frappe\" }}{{ .admin_password }}{{ end }}"
        destination = "secrets/admin-password"
        perms       = "0400"
        uid         = 1000
        gid         = 1000
        change_mode = "noop"
      }

      template {
        data        = "{{ with nomadVar \"nomad/jobs/frappe\" }}{{ .db_root_password }}{{ end }}"
        destination = "secrets/db-root-password"
        perms       = "0400"
        uid         = 1000
        gid         = 1000
        change_mode = "noop"
      }

      resources {
        cpu    = 1000
        memory = 2048
      }
    }
  }

  group "workers" {
    count = 2

    update {
      health_check = "task_states"
    }

    task "worker-short" {
      driver       = "docker"
      user         = "1000"
      kill_timeout = "420s"

      config {
        image           = "${var.image}:${var.rev}"
        args            = ["frappe-service", "worker-short"]
        readonly_rootfs = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]
        mount {
          type   = "volume"
          source = "frappe-sites"
          target = "/home/frappe/frappe-bench/sites"
        }
        mount {
          type   = "tmpfs"
          target = "/tmp"
        }
        mount {
          type   = "volume"
          source = "frappe-logs"
          target = "/home/frappe/frappe-bench/logs"
        }
      }

      env {
        # Waits until the revision is ready, and never leads.
        IS_LEADER             = "0"
        REDIS_QUEUE           = local.redis_queue
        BELLWETHER_ON_FAILURE = "hold"
      }

      resources {
        cpu    = 250
        memory = 1024
      }
    }

    task "worker-long" {
      driver       = "docker"
      user         = "1000"
      kill_timeout = "1620s"

      config {
        image           = "${var.image}:${var.rev}"
        args            = ["frappe-service", "worker-long"]
        readonly_rootfs = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]
        mount {
          type   = "volume"
          source = "frappe-sites"
          target = "/home/frappe/frappe-bench/sites"
        }
        mount {
          type   = "tmpfs"
          target = "/tmp"
        }
        mount {
          type   = "volume"
          source = "frappe-logs"
          target = "/home/frappe/frappe-bench/logs"
        }
      }

      env {
        # Waits until the revision is ready, and never leads.
        IS_LEADER             = "0"
        REDIS_QUEUE           = local.redis_queue
        BELLWETHER_ON_FAILURE = "hold"
      }

      resources {
        cpu    = 250
        memory = 1024
      }
    }
  }

  # Exactly one.
  group "scheduler" {
    count = 1

    update {
      # The old one ends before the new one comes: never two.
      canary       = 0
      auto_promote = false
      health_check = "task_states"
    }

    task "scheduler" {
      driver       = "docker"
      user         = "1000"
      kill_timeout = "60s"

      config {
        image           = "${var.image}:${var.rev}"
        args            = ["frappe-service", "scheduler"]
        readonly_rootfs = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]
        mount {
          type   = "volume"
          source = "frappe-sites"
          target = "/home/frappe/frappe-bench/sites"
        }
        mount {
          type   = "tmpfs"
          target = "/tmp"
        }
        mount {
          type   = "volume"
          source = "frappe-logs"
          target = "/home/frappe/frappe-bench/logs"
        }
      }

      env {
        # Waits until the revision is ready, and never leads.
        IS_LEADER             = "0"
        REDIS_QUEUE           = local.redis_queue
        BELLWETHER_ON_FAILURE = "hold"
      }

      resources {
        cpu    = 100
        memory = 512
      }
    }
  }

  group "frontend" {
    count = 2

    network {
      port "http" {
        to = 8080
      }
      port "callback" {
        to = 8081
      }
      port "socketio" {
        to = 9000
      }
    }

    service {
      name     = "frappe"
      port     = "http"
      provider = "nomad"

      check {
        type     = "http"
        path     = "/nginx-health"
        interval = "10s"
        timeout  = "5s"
      }
    }

    task "nginx" {
      driver       = "docker"
      user         = "1000"
      # At QUIT nginx answers what is under way.
      kill_signal  = "SIGQUIT"
      kill_timeout = "150s"

      config {
        image           = "${var.image}:${var.rev}"
        args            = ["frappe-service", "nginx"]
        ports           = ["http", "callback"]
        readonly_rootfs = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]
        mount {
          type   = "volume"
          source = "frappe-sites"
          target = "/home/frappe/frappe-bench/sites"
        }
        # On disk: uploads are here until they are complete, and a tmpfs counts as memory.
        mount {
          type   = "volume"
          target = "/tmp"
        }
        mount {
          type   = "volume"
          source = "frappe-logs"
          target = "/home/frappe/frappe-bench/logs"
        }
      }

      env {
        # Waits until the revision is ready, and never leads.
        IS_LEADER             = "0"
        REDIS_QUEUE           = local.redis_queue
        BELLWETHER_ON_FAILURE = "hold"
        SOCKETIO              = "${NOMAD_ADDR_socketio}"
        SOCKETIO_CALLBACK     = "${NOMAD_ADDR_callback}"
      }

      # nginx has one backend; each frontend takes one of those that are healthy, and another when that one goes.
      template {
        data        = <<-EOT
          {{ range nomadService 1 (env "NOMAD_ALLOC_ID") "frappe-web" }}BACKEND={{ .Address }}:{{ .Port }}{{ end }}
        EOT
        destination = "local/backends.env"
        env         = true
        change_mode = "restart"
      }

      resources {
        cpu    = 100
        memory = 256
      }
    }

    task "websocket" {
      driver       = "docker"
      user         = "1000"
      kill_timeout = "30s"

      config {
        image           = "${var.image}:${var.rev}"
        args            = ["frappe-service", "websocket"]
        ports           = ["socketio"]
        readonly_rootfs = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]
        mount {
          type   = "volume"
          source = "frappe-sites"
          target = "/home/frappe/frappe-bench/sites"
        }
        mount {
          type   = "tmpfs"
          target = "/tmp"
        }
        mount {
          type   = "volume"
          source = "frappe-logs"
          target = "/home/frappe/frappe-bench/logs"
        }
      }

      env {
        # Waits until the revision is ready, and never leads.
        IS_LEADER             = "0"
        REDIS_QUEUE           = local.redis_queue
        BELLWETHER_ON_FAILURE = "hold"
      }

      resources {
        cpu    = 100
        memory = 512
      }
    }
  }
}
