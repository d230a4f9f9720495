//go:build integration

package kubectl

// upstreamFiles are in the working directory of the command lines.
var upstreamFiles = map[string]string{
	"cm.yaml":      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm, labels: {app: a}}\ndata: {a: \"1\", b: \"2\"}\n",
	"cm2.yaml":     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm, labels: {app: a}}\ndata: {a: \"1\", c: \"3\"}\n",
	"cm.json":      `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"from-json"},"data":{"x":"y"}}`,
	"many/1.yaml":  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m1, labels: {set: many}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s1, labels: {set: many}}\nstringData: {k: v}\n",
	"many/2.yml":   "apiVersion: v1\nkind: Service\nmetadata: {name: svc, labels: {set: many}}\nspec: {clusterIP: None, selector: {app: a}, ports: [{name: http, port: 80}]}\n",
	"fewer/1.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m1, labels: {set: many}}\n",
	"list.yaml":    "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: l1}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: l2}}\n",
	"unknown.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: u}\nnonsense: true\n",
	"nokind.yaml":  "apiVersion: v1\nmetadata: {name: u}\n",
	"nocrd.yaml":   "apiVersion: nowhere.example/v1\nkind: Thing\nmetadata: {name: u}\n",
	"broken.yaml":  "apiVersion: v1\n  kind: [\n",
	"twice.yaml":   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: twice}\ndata: {a: x, a: y}\n",
	"d.yaml":       deploymentText("nginx:1", "{name: A, value: a}, {name: B, value: b}"),
	"d2.yaml":      deploymentText("nginx:2", "{name: B, value: c}"),
	"d3.yaml":      "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  replicas: 0\n  selector: {matchLabels: {app: other}}\n  template: {metadata: {labels: {app: other}}, spec: {containers: [{name: c, image: x}]}}\n",
	"old.yaml":     "apiVersion: v1\nkind: Endpoints\nmetadata: {name: old}\n",
	"crd.yaml": `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: wheels.upstream.example}
spec:
  group: upstream.example
  scope: Namespaced
  names: {kind: Wheel, plural: wheels}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}, tags: {type: array, items: {type: string}}}}}}}
`,
	"wheel.yaml":             "apiVersion: upstream.example/v1\nkind: Wheel\nmetadata: {name: w}\nspec: {size: 1, tags: [a, b]}\n",
	"wheel2.yaml":            "apiVersion: upstream.example/v1\nkind: Wheel\nmetadata: {name: w}\nspec: {tags: [b]}\n",
	"k/kustomization.yaml":   "resources: [cm.yaml]\nnamePrefix: pre-\ncommonAnnotations: {by: kustomize}\nconfigMapGenerator: [{name: gen, literals: [a=b]}]\n",
	"k/cm.yaml":              "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\n",
	"out/kustomization.yaml": "resources: [../cm.yaml]\n",
	"plain.txt":              "text\n",
	"vars.env":               "A=1\n# comment\nB=two words\nFROM_SHELL\n",
	"columns.txt":            "NAME VALUE\nmetadata.name data.a\n",
	"template.txt":           "{{.metadata.name}}: {{.data.a}}\n",
	"patch.yaml":             "data: {patched: \"yes\"}\n",
	"patch.json":             `[{"op":"add","path":"/data/p","value":"q"}]`,
}

func deploymentText(image, env string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata: {name: d, labels: {app: d}}
spec:
  replicas: 0
  selector: {matchLabels: {app: d}}
  template:
    metadata: {labels: {app: d}}
    spec:
      containers:
      - {name: c, image: "` + image + `", env: [` + env + `], ports: [{containerPort: 80}]}
`
}

// upstreamLines are run in this order.
const upstreamLines = `
# apply
apply -f cm.yaml --dry-run=client
apply -f cm.yaml --dry-run=server
apply -f cm.yaml
apply -f cm.yaml
apply -f cm2.yaml
apply -f cm.yaml -o name
apply -f cm.yaml -o yaml
apply -f cm.yaml -o json --dry-run=server
apply -f cm.json
apply -f - < cm.yaml
apply -f d.yaml
apply -f d.yaml
apply -f d2.yaml
get deploy d -o 'jsonpath={.spec.template.spec.containers}'
apply -f d3.yaml
apply -f d.yaml
apply -f many
apply -R -f many --dry-run=client
apply -f many --prune -l set=many
apply -f fewer --prune -l set=many --prune-allowlist=core/v1/Secret
apply -f fewer --prune
apply -f list.yaml
apply -f unknown.yaml
apply -f unknown.yaml --validate=warn
apply -f unknown.yaml --validate=ignore
apply -f nokind.yaml
apply -f nocrd.yaml
apply -f broken.yaml
apply -f twice.yaml
apply -f missing.yaml
apply -f missing.yaml -f cm.yaml
apply
apply -f cm.yaml extra
apply -f old.yaml
apply -f old.yaml --warnings-as-errors
apply -f crd.yaml
wait --for=condition=Established crd/wheels.upstream.example --timeout=20s
apply -f wheel.yaml
apply -f wheel.yaml
apply -f wheel2.yaml
get wheels w -o 'jsonpath={.spec}'
apply -k k
apply -k k
apply -k out
apply --server-side -f cm.yaml --field-manager=other
apply --server-side -f cm2.yaml --field-manager=third
apply --server-side -f cm2.yaml --field-manager=third --force-conflicts
apply --force-conflicts -f cm.yaml
apply view-last-applied cm cm
apply view-last-applied cm nope
apply set-last-applied -f cm.yaml
# diff
diff -f cm.yaml
diff -f cm2.yaml
diff -f d.yaml
diff -f d2.yaml
diff -f many
diff -f missing.yaml
diff -f d2.yaml --server-side
KUBECTL_EXTERNAL_DIFF=diff diff -f d2.yaml
diff -k k
diff --nonsense
# create
create configmap lit --from-literal=a=b --from-literal=c=d
create configmap files --from-file=plain.txt --from-file=key=plain.txt --from-file=many
FROM_SHELL=exported create configmap env --from-env-file=vars.env
get cm env -o 'jsonpath={.data}'
create configmap lit
create secret generic sec --from-literal=p=w --dry-run=client -o yaml
create secret tls t --cert=plain.txt --key=plain.txt
create deployment web --image=nginx --replicas=0
create job j --image=busybox -- true
create cronjob cj --image=busybox '--schedule=0_0_31_12_*' -- true
create role r --verb=get --resource=pods
create rolebinding rb --role=r --user=u
create serviceaccount sa
create quota q --hard=pods=1
create service clusterip svc2 --tcp=80:8080 --clusterip=None
create ingress ing --rule=a.example/=svc:80
create poddisruptionbudget pdb --selector=app=a --min-available=1
create priorityclass nothing --dry-run=client
create namespace ns --dry-run=client -o name
create -f cm.yaml
create -f - < cm.json
create
# get
get cm
get cm cm
get cm cm -o yaml
get cm cm -o yaml --show-managed-fields
get cm cm -o json
get cm cm -o wide
get cm -o name
get cm -l app=a --show-labels
get cm,secret -l set=many
get cm cm -o go-template={{.data.a}}
get cm cm -o go-template-file=template.txt
get cm cm -o jsonpath-file=template.txt
get cm cm -o custom-columns=N:.metadata.name,A:.data.a
get cm cm -o custom-columns-file=columns.txt
get cm --field-selector=metadata.name=cm
get cm --sort-by=.metadata.name -o name
get cm --sort-by=.nope
get cm nope
get cm nope --ignore-not-found
get nonsense
get cm cm -o nonsense
get cm cm -L app
get -f many
get -k k -o name
get deploy d -o wide
get all
get --raw /version
get --raw /apis/nope
get
# describe and explain
describe cm cm
describe deploy d
describe cm nope
explain configmap
explain deployment.spec.strategy
explain deployment.nope
explain wheel.spec --api-version=upstream.example/v1
api-versions
api-resources --api-group=apps
api-resources --namespaced=false -o name
# changes
label cm cm tier=one
label cm cm tier=two
label cm cm tier=two --overwrite
label cm cm tier-
annotate cm cm note=one
annotate cm cm note=one
patch cm cm --type=merge -p '{"data":{"n":"1"}}'
patch cm cm -p '{"data":{"n":"1"}}'
patch cm cm --type=json --patch-file=patch.json
patch cm cm --patch-file=patch.yaml
patch cm cm --type=nonsense -p '{}'
set image deploy/d c=nginx:3
rollout status deploy/d
set image deploy/d nope=nginx:3
set env deploy/d X=y
rollout status deploy/d
set env deploy/d --list
set resources deploy/d --limits=cpu=1
rollout status deploy/d
set serviceaccount deploy/d sa
rollout status deploy/d
scale deploy/d --replicas=0
scale deploy/d --replicas=0 --current-replicas=5
scale deploy/nope --replicas=1
autoscale deploy/d --max=3
expose deploy/d --port=80 --name=exposed --cluster-ip=None
rollout status deploy/d
rollout history deploy/d
rollout pause deploy/d
rollout resume deploy/d
rollout restart deploy/d
rollout undo deploy/nope
rollout status cm/cm
wait --for=jsonpath={.data.a}=1 cm/cm --timeout=5s
wait --for=condition=Available deploy/d --timeout=10s
wait --for=condition=Nope deploy/d --timeout=1s
wait --for=delete cm/nope
wait --for=create cm/cm --timeout=1s
replace -f cm2.yaml
replace -f missing.yaml
replace --force -f cm.yaml
replace --force -f - < cm.yaml
KUBE_EDITOR='sed_-i_/^..b:/d' edit cm cm
KUBE_EDITOR=true edit cm cm
run p --image=busybox --dry-run=client -o yaml -- sleep 1
run p --image=busybox
events --for=cm/cm
# others
auth can-i get cm
auth can-i get cm --as=nobody
auth can-i get cm --as=nobody -q
auth can-i --list --as=nobody
auth whoami
auth reconcile -f cm.yaml
config current-context
config get-contexts -o name
config use-context nope
config set-context other --cluster=c --user=u --namespace=n
config view --minify -o 'jsonpath={.contexts[0].context.namespace}'
config get-clusters
config delete-context other
config set clusters.x.server https://x.example
config unset clusters.x
kustomize k
kustomize missing
kustomize out
certificate approve nope
taint node nope a=b:NoSchedule
cordon nope
drain nope
top pod
logs nope
logs p
exec nope -- true
exec p -- true
cp plain.txt nope:/x
cp nope:/x y
attach nope
alpha
version --client
version
version -o json
version -o nonsense
get --help
get --v=0 cm -o name
apply --help
diff --help
edit --help
rollout --help
set image --help
frobnicate
get --frobnicate
# the end
delete cm lit
delete cm nope
delete cm nope --ignore-not-found
delete -f many
delete -f many --ignore-not-found
delete cm -l app=a
delete deploy --all
delete pod p --grace-period=0 --force
delete job/j --wait=false
delete
`
