package agentconfig

// The sections below are GitLab's and are accepted so that one file serves
// both; Towline acts on none of them (agent-config sheet, sections 1.4 to 1.6).

var gitops = &schema{
	form: object,
	keys: map[string]*schema{
		"manifest_projects": {form: list, elem: manifestProject, unique: "id"},
		"charts":            {form: list, elem: chart, notice: "GitLab 16.4 and later refuses the whole file because of this key; keep charts in towline.yaml beside it"},
	},
	notice: "accepted and not acted on: GitLab removed it in 17.0; keep sources in towline.yaml beside this file",
}

var gitRef = &schema{form: object, oneOf: true, keys: map[string]*schema{"branch": someText, "tag": someText, "commit": someText}}

var manifestProject = &schema{
	form: object,
	keys: map[string]*schema{
		"id":                       fullPath,
		"ref":                      gitRef,
		"default_namespace":        namespace,
		"paths":                    listOf(&schema{form: object, keys: map[string]*schema{"glob": someText}, required: []string{"glob"}}),
		"reconcile_timeout":        aDuration,
		"dry_run_strategy":         oneText("none", "client", "server"),
		"prune":                    aBool,
		"prune_timeout":            aDuration,
		"prune_propagation_policy": oneText("orphan", "background", "foreground"),
		"inventory_policy":         oneText("must_match", "adopt_if_no_inventory", "adopt_all"),
	},
	gone: map[string]string{
		"resource_inclusions": "removed in GitLab 14.0",
		"resource_exclusions": "removed in GitLab 14.0",
	},
}

var chart = &schema{
	form: object, required: []string{"release_name", "source"},
	keys: map[string]*schema{
		"release_name": someText,
		"source": {
			form: object, oneOf: true,
			keys: map[string]*schema{"project": {
				form: object, required: []string{"id"},
				keys: map[string]*schema{"id": fullPath, "path": aText, "ref": gitRef},
			}},
		},
		"namespace":   namespace,
		"max_history": aNumber,
		"values": listOf(&schema{
			form: object, oneOf: true,
			keys: map[string]*schema{
				"inline": free,
				"file": {
					form: object, required: []string{"file"},
					keys: map[string]*schema{"project_id": fullPath, "ref": gitRef, "file": someText},
				},
				"url": {
					form: object, required: []string{"url"},
					keys: map[string]*schema{"url": someText, "poll_period": aDuration, "max_file_size": aNumber},
				},
			},
		}),
	},
}

var flux = &schema{
	form: object, keys: map[string]*schema{"webhook_receiver_url": someText},
	notice: "accepted and not acted on: Flux reads its own sources",
}

var logLevel = oneText("info", "debug", "warn", "error")

var observability = &schema{
	form: object,
	keys: map[string]*schema{
		"logging": obj(map[string]*schema{"level": logLevel, "grpc_level": logLevel}),
		"google_profiler": obj(map[string]*schema{
			"enabled": aBool, "project_id": aText, "credentials_file": aText, "debug_logging": aBool,
		}),
	},
	notice: "accepted and not acted on: log levels are settings of Towline's services",
}

var resources = obj(map[string]*schema{
	"requests": obj(map[string]*schema{"cpu": aScalar, "memory": aScalar, "ephemeral_storage": aScalar}),
	"limits":   obj(map[string]*schema{"cpu": aScalar, "memory": aScalar, "ephemeral_storage": aScalar}),
})

var containerScanning = &schema{
	form: object,
	keys: map[string]*schema{
		"cadence": aText,
		"vulnerability_report": obj(map[string]*schema{
			"namespaces":     listOf(someText),
			"resource_types": listOf(someText),
			"filters": listOf(obj(map[string]*schema{
				"namespaces": listOf(aText), "resources": listOf(aText), "containers": listOf(aText), "kinds": listOf(aText),
			})),
		}),
		"resource_requirements":   resources,
		"trivy_k8s_wrapper_image": obj(map[string]*schema{"repository": aText}),
		"scanner_timeout":         aScalar,
		"report_max_size":         aScalar,
		"delete_report_artifact":  aBool,
		"severity_threshold":      aText,
	},
	notice: "accepted and not acted on: Towline scans nothing",
}

var remoteDevelopment = &schema{
	form: object,
	keys: map[string]*schema{
		"enabled":                 aBool,
		"dns_zone":                aText,
		"gitlab_workspaces_proxy": obj(map[string]*schema{"namespace": aText}),
		"network_policy": obj(map[string]*schema{
			"enabled": aBool,
			"egress":  listOf(obj(map[string]*schema{"allow": aText, "except": listOf(aText)})),
		}),
		"default_resources_per_workspace_container": resources,
		"max_resources_per_workspace":               resources,
		"workspaces_quota":                          aNumber,
		"workspaces_per_user_quota":                 aNumber,
		"use_kubernetes_user_namespaces":            aBool,
		"default_runtime_class":                     aText,
		"allow_privilege_escalation":                aBool,
		"image_pull_secrets":                        listOf(obj(map[string]*schema{"name": aText, "namespace": aText})),
		"annotations":                               free,
		"labels":                                    free,
		"shared_namespace":                          aText,
		"default_max_hours_before_termination":      aNumber,
		"max_hours_before_termination_limit":        aNumber,
		"partial_sync_interval":                     aDuration,
		"full_sync_interval":                        aDuration,
	},
	notice: "accepted and not acted on: Towline runs no workspaces",
}
