package main

import "fmt"

// manyObjects is how many objects are applied at once, of the kinds and in the
// proportions of an ordinary cluster.
const manyObjects = 1000

var kinds = []struct {
	share int
	text  func(name string) string
}{
	{300, func(n string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + n + "}\ndata: {a: b, c: d}\n"
	}},
	{100, func(n string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata: {name: " + n + "}\nstringData: {password: not-a-secret}\n"
	}},
	{160, func(n string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: " + n + "}\nspec: {selector: {app: " + n + "}, ports: [{port: 80, targetPort: 8080}]}\n"
	}},
	{160, deployment},
	{100, func(n string) string { return "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: " + n + "}\n" }},
	{80, func(n string) string {
		return "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: " + n + "}\nrules: [{apiGroups: [\"\"], resources: [configmaps], verbs: [get]}]\n"
	}},
	{80, func(n string) string {
		return "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: " + n + "}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: " + n + "}\nsubjects: [{kind: ServiceAccount, name: " + n + "}]\n"
	}},
	{20, func(n string) string {
		return "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: " + n + "}\nspec: {rules: [{host: " + n + ".example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: " + n + ", port: {number: 80}}}}]}}]}\n"
	}},
}

// objects is a directory of manifests.
func objects() map[string]string {
	out := map[string]string{}
	for k, kind := range kinds {
		for n := range kind.share {
			out[fmt.Sprintf("objects/%d-%03d.yaml", k, n)] = kind.text(fmt.Sprintf("many-%03d", n))
		}
	}
	return out
}

// deployment has no replicas: the control plane of the measurement has no nodes.
func deployment(name string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata:
  name: ` + name + `
  labels: {app: ` + name + `}
spec:
  replicas: 0
  selector: {matchLabels: {app: ` + name + `}}
  template:
    metadata: {labels: {app: ` + name + `}}
    spec:
      containers:
      - name: web
        image: registry.example.com/web:1.0
        ports: [{containerPort: 8080}]
        env: [{name: COLOUR, value: green}]
        resources: {requests: {cpu: 10m, memory: 32Mi}, limits: {memory: 64Mi}}
        readinessProbe: {httpGet: {path: /healthz, port: 8080}}
`
}
