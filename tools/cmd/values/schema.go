package main

import (
	"encoding/json"
	"fmt"
	"maps"

	"go.yaml.in/yaml/v3"
)

// object is a JSON object; its keys are written in their order.
type object = map[string]any

func (v *value) schema() ([]byte, error) {
	top, err := v.describe()
	if err != nil {
		return nil, err
	}
	properties := top["properties"].(object)
	properties["global"] = object{"type": "object", "description": "What Helm passes to every chart; not used here."}
	top["$schema"] = "http://json-schema.org/draft-07/schema#"
	top["title"] = "Values of the Towline chart"
	defs := definitions()
	top["definitions"] = defs
	out, err := json.MarshalIndent(top, "", "  ")
	return append(out, '\n'), err
}

// describe is the schema of one value.
func (v *value) describe() (object, error) {
	s := object{}
	if v.doc != "" {
		s["description"] = v.doc
	}
	if ref, ok := v.hint["ref"].(string); ok {
		if definitions()[ref] == nil {
			return nil, fmt.Errorf("%s: there is no definition %q", v.path, ref)
		}
		s["allOf"] = []any{object{"$ref": "#/definitions/" + ref}}
		return s, nil
	}
	switch v.node.Kind {
	case yaml.MappingNode:
		properties := object{}
		for _, c := range v.children {
			p, err := c.describe()
			if err != nil {
				return nil, err
			}
			properties[c.name] = p
		}
		strict(s, properties)
	case yaml.SequenceNode:
		s["type"] = "array"
		items := object{"type": "string"}
		if more, ok := v.hint["items"].(object); ok {
			maps.Copy(items, more)
		}
		s["items"] = items
	default:
		s["type"] = map[string]string{"!!str": "string", "!!int": "integer", "!!bool": "boolean", "!!null": "null"}[v.node.Tag]
	}
	for k, x := range v.hint {
		if k != "items" {
			s[k] = x
		}
	}
	return s, nil
}

// strict makes s an object with these properties and no others. Names that
// nearly are one of them are refused with the right one.
func strict(s, properties object) {
	s["type"], s["properties"], s["additionalProperties"] = "object", properties, false
	if near := misspelt(properties); len(near) > 0 {
		s["patternProperties"] = near
	}
}

func text(pattern string) object { return object{"type": "string", "pattern": pattern} }

func list(of object) object { return object{"type": "array", "items": of} }

func closed(properties object) object {
	s := object{}
	strict(s, properties)
	return s
}

func ref(name string) object { return object{"$ref": "#/definitions/" + name} }

// definitions are what several values share.
func definitions() object {
	str, free := object{"type": "string"}, object{"type": "object", "description": "As Kubernetes has it, checked by the API server."}
	label := "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
	binding := closed(object{
		"project": object{"type": "integer", "minimum": 1}, "group": object{"type": "integer", "minimum": 1}, "agent": object{"const": true},
		"user": str, "groupName": str, "tier": text("^[A-Za-z0-9_-]+$"), "environment": text("^[A-Za-z0-9-]+$"),
		"clusterRole": str, "role": str, "namespaces": object{"type": "array", "minItems": 1, "items": text(label)},
	})
	binding["required"] = []any{"namespaces"}
	return object{
		"digest":         text("^(sha256:[0-9a-f]{64})?$"),
		"strings":        object{"type": "object", "additionalProperties": str},
		"quantity":       object{"type": []any{"string", "number"}},
		"quantities":     object{"type": "object", "additionalProperties": ref("quantity")},
		"resources":      closed(object{"requests": ref("quantities"), "limits": ref("quantities")}),
		"kubernetes":     free,
		"kubernetesList": list(free),
		"intOrPercent":   object{"anyOf": []any{object{"type": "integer", "minimum": 0}, text("^[0-9]+%$")}},
		"cidrs":          list(text("^[0-9a-fA-F.:]+/[0-9]+$")),
		"ports":          list(object{"type": "integer", "minimum": 1, "maximum": 65535}),
		"tolerations": list(closed(object{
			"key": str, "operator": object{"enum": []any{"Exists", "Equal", "Lt", "Gt"}}, "value": str,
			"effect":            object{"enum": []any{"NoSchedule", "PreferNoSchedule", "NoExecute"}},
			"tolerationSeconds": object{"type": "integer"},
		})),
		"bindings": list(binding),
		"towline":  object{"type": "object", "description": "Checked by the service that reads it."},
		"config": object{
			"type": "object", "description": "GitLab's schema of config.yaml, checked by the service that reads it, and names of GitLab's own chart.",
			"properties": object{
				"token": str, "secretName": str, "kasAddress": str, "kasCaCert": str,
				"kasHeaders": list(str), "caCert": str,
			},
		},
	}
}
