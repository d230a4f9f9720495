package agentconfig

import (
	"strings"

	"github.com/towline/towline/pkg/strictyaml"
)

// The sections below are GitLab's and are accepted so that one file serves
// both; Towline acts on none of them (agent-config sheet, sections 1.4 to 1.6).

// aboveZero is a whole number from 1.
var aboveZero = &schema{Form: strictyaml.Number, Check: func(v string) (problem, remedy string) {
	if strings.HasPrefix(v, "-") || strings.Trim(v, "0") == "" {
		return "want a number above 0", "leave it out for GitLab's default, 1"
	}
	return "", ""
}}

var flux = &schema{
	Form: strictyaml.Object, Keys: keys{"webhook_receiver_url": someText},
	Notice: "accepted and not acted on: Flux reads its own sources",
}

var logLevel = oneText("info", "debug", "warn", "error")

var observability = &schema{
	Form: strictyaml.Object,
	Keys: keys{
		"logging": obj(keys{"level": logLevel, "grpc_level": logLevel}),
		"google_profiler": obj(keys{
			"enabled": aBool, "project_id": aText, "credentials_file": aText, "debug_logging": aBool,
		}),
	},
	Notice: "accepted and not acted on: log levels are settings of Towline's services",
}

var resources = obj(keys{
	"requests": obj(keys{"cpu": aScalar, "memory": aScalar, "ephemeral_storage": aScalar}),
	"limits":   obj(keys{"cpu": aScalar, "memory": aScalar, "ephemeral_storage": aScalar}),
})

// GitLab adds keys to this section and the next one with most releases, and
// nobody but GitLab acts on them: those that are not known here are noticed.
var containerScanning = &schema{
	Form: strictyaml.Object, Open: true, Required: []string{"cadence"},
	Keys: keys{
		"cadence": someText,
		"vulnerability_report": obj(keys{
			"namespaces":     listOf(someText),
			"resource_types": listOf(someText),
			"filters": listOf(obj(keys{
				"namespaces": listOf(aText), "resources": listOf(aText), "containers": listOf(aText), "kinds": listOf(aText),
			})),
		}),
		"resource_requirements":   resources,
		"trivy_k8s_wrapper_image": obj(keys{"repository": aText}),
		"scanner_timeout":         aScalar,
		"report_max_size":         aScalar,
		"delete_report_artifact":  aBool,
		"severity_threshold":      aText,
	},
	Notice: "accepted and not acted on: Towline scans nothing",
}

var remoteDevelopment = &schema{
	Form: strictyaml.Object, Open: true,
	Keys: keys{
		"enabled":                 aBool,
		"dns_zone":                aText,
		"gitlab_workspaces_proxy": obj(keys{"namespace": aText}),
		"network_policy": obj(keys{
			"enabled": aBool,
			"egress":  listOf(obj(keys{"allow": aText, "except": listOf(aText)})),
		}),
		"default_resources_per_workspace_container": resources,
		"max_resources_per_workspace":               resources,
		"workspaces_quota":                          aNumber,
		"workspaces_per_user_quota":                 aNumber,
		"use_kubernetes_user_namespaces":            aBool,
		"default_runtime_class":                     aText,
		"allow_privilege_escalation":                aBool,
		"image_pull_secrets":                        listOf(obj(keys{"name": aText, "namespace": aText})),
		"annotations":                               free,
		"labels":                                    free,
		"shared_namespace":                          aText,
		"default_max_hours_before_termination":      aNumber,
		"max_hours_before_termination_limit":        aNumber,
		"partial_sync_interval":                     removedInterval,
		"full_sync_interval":                        removedInterval,
	},
	Notice: "accepted and not acted on: Towline runs no workspaces",
}

var removedInterval = &schema{
	Form: strictyaml.Text, Check: checkSeconds, Want: aDuration.Want, Remedy: secondsRemedy,
	Notice: "GitLab removed it in 17.0 and refuses the whole file because of it",
}
