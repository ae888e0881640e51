import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

import org.elasticsearch.cluster.metadata.ComponentTemplate;
import org.elasticsearch.cluster.metadata.ComposableIndexTemplate;
import org.elasticsearch.cluster.metadata.Template;
import org.elasticsearch.common.Strings;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.IndexScopedSettings;
import org.elasticsearch.common.settings.Setting;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.core.CheckedFunction;
import org.elasticsearch.xcontent.DeprecationHandler;
import org.elasticsearch.xcontent.NamedXContentRegistry;
import org.elasticsearch.xcontent.ParseField;
import org.elasticsearch.xcontent.XContentBuilder;
import org.elasticsearch.xcontent.XContentParser;
import org.elasticsearch.xcontent.XContentParserConfiguration;
import org.elasticsearch.xcontent.json.JsonXContent;
import org.elasticsearch.xpack.core.ilm.AllocateAction;
import org.elasticsearch.xpack.core.ilm.DeleteAction;
import org.elasticsearch.xpack.core.ilm.DownsampleAction;
import org.elasticsearch.xpack.core.ilm.ForceMergeAction;
import org.elasticsearch.xpack.core.ilm.FreezeAction;
import org.elasticsearch.xpack.core.ilm.LifecycleAction;
import org.elasticsearch.xpack.core.ilm.LifecyclePolicy;
import org.elasticsearch.xpack.core.ilm.LifecycleSettings;
import org.elasticsearch.xpack.core.ilm.LifecycleType;
import org.elasticsearch.xpack.core.ilm.MigrateAction;
import org.elasticsearch.xpack.core.ilm.ReadOnlyAction;
import org.elasticsearch.xpack.core.ilm.RolloverAction;
import org.elasticsearch.xpack.core.ilm.SearchableSnapshotAction;
import org.elasticsearch.xpack.core.ilm.SetPriorityAction;
import org.elasticsearch.xpack.core.ilm.ShrinkAction;
import org.elasticsearch.xpack.core.ilm.TimeseriesLifecycleType;
import org.elasticsearch.xpack.core.ilm.UnfollowAction;
import org.elasticsearch.xpack.core.ilm.WaitForSnapshotAction;
import org.elasticsearch.xpack.core.slm.SnapshotLifecyclePolicy;

/**
 * Judges declarations with Elasticsearch's own parsers. Each line of standard input is {"kind", "name", "body"}; each line of
 * standard output is OK, WARNED with the warning, or REFUSED with the innermost reason. The kind index_settings asks for the names of
 * the settings.
 */
public final class Parsers {
    private static final NamedXContentRegistry REGISTRY = new NamedXContentRegistry(List.of(
        new NamedXContentRegistry.Entry(
            LifecycleType.class, new ParseField(TimeseriesLifecycleType.TYPE), parser -> TimeseriesLifecycleType.INSTANCE),
        action(AllocateAction.NAME, AllocateAction::parse),
        action(DeleteAction.NAME, DeleteAction::parse),
        action(DownsampleAction.NAME, DownsampleAction::parse),
        action(ForceMergeAction.NAME, ForceMergeAction::parse),
        action(FreezeAction.NAME, FreezeAction::parse),
        action(MigrateAction.NAME, MigrateAction::parse),
        action(ReadOnlyAction.NAME, ReadOnlyAction::parse),
        action(RolloverAction.NAME, RolloverAction::parse),
        action(SearchableSnapshotAction.NAME, SearchableSnapshotAction::parse),
        action(SetPriorityAction.NAME, SetPriorityAction::parse),
        action(ShrinkAction.NAME, ShrinkAction::parse),
        action(UnfollowAction.NAME, UnfollowAction::parse),
        action(WaitForSnapshotAction.NAME, WaitForSnapshotAction::parse)));

    private static NamedXContentRegistry.Entry action(
        String name, CheckedFunction<XContentParser, LifecycleAction, IOException> parse) {
        return new NamedXContentRegistry.Entry(LifecycleAction.class, new ParseField(name), parse);
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        // The logger would write to standard output.
        System.setOut(System.err);
        LogConfigurator.configureESLogging();
        IndexScopedSettings known = knownSettings();
        BufferedReader cases = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = cases.readLine(); line != null; line = cases.readLine()) {
            Map<String, Object> declared = parser(line).map();
            String verdict;
            if ("index_settings".equals(declared.get("kind"))) {
                answers.println(settable());
                continue;
            }
            try {
                verdict = judge((String) declared.get("kind"), (String) declared.get("name"), text(declared.get("body")), known);
            } catch (Exception refusal) {
                Throwable cause = refusal;
                while (cause.getCause() != null) {
                    cause = cause.getCause();
                }
                verdict = "REFUSED " + cause.getMessage();
            }
            answers.println(verdict.replace('\n', ' '));
        }
        answers.flush();
    }

    private static String judge(String kind, String name, String body, IndexScopedSettings known) throws IOException {
        XContentParser parser = parser(body);
        switch (kind) {
            case "lifecycle_policy" -> {
                LifecyclePolicy policy = LifecyclePolicy.parse(parser, name);
                policy.validate();
                LifecyclePolicy.validatePolicyName(name);
                String warning =
                    TimeseriesLifecycleType.validateMonotonicallyIncreasingPhaseTimings(policy.getPhases().values());
                return warning == null || warning.isEmpty() ? "OK" : "WARNED " + warning;
            }
            case "snapshot_policy" -> {
                var faults = SnapshotLifecyclePolicy.parse(parser, name).validate();
                return faults == null ? "OK" : "REFUSED " + faults.getMessage();
            }
            case "component_template" -> check(ComponentTemplate.parse(parser).template(), known);
            case "index_template" -> check(ComposableIndexTemplate.parse(parser).template(), known);
            default -> throw new IllegalArgumentException("unknown kind " + kind);
        }
        return "OK";
    }

    private static void check(Template template, IndexScopedSettings known) {
        if (template != null && template.settings() != null) {
            known.validate(Settings.builder().put(template.settings()).normalizePrefix("index.").build(), true);
        }
    }

    /** The names of the index settings that a template may contain. A name that ends with a dot is a group. */
    private static String settable() {
        return IndexScopedSettings.BUILT_IN_INDEX_SETTINGS.stream()
            .filter(setting -> !setting.isPrivateIndex() && !setting.getProperties().contains(Setting.Property.InternalIndex))
            .map(Setting::getKey)
            .sorted()
            .collect(Collectors.joining(" "));
    }

    private static IndexScopedSettings knownSettings() throws IllegalAccessException {
        Set<Setting<?>> settings = new HashSet<>(IndexScopedSettings.BUILT_IN_INDEX_SETTINGS);
        for (Field field : LifecycleSettings.class.getFields()) {
            if (Setting.class.isAssignableFrom(field.getType())) {
                Setting<?> setting = (Setting<?>) field.get(null);
                if (setting.hasIndexScope()) {
                    settings.add(setting);
                }
            }
        }
        return new IndexScopedSettings(Settings.EMPTY, settings);
    }

    private static XContentParser parser(String text) throws IOException {
        return JsonXContent.jsonXContent.createParser(
            XContentParserConfiguration.EMPTY.withRegistry(REGISTRY)
                .withDeprecationHandler(DeprecationHandler.IGNORE_DEPRECATIONS),
            text);
    }

    private static String text(Object value) throws IOException {
        XContentBuilder builder = JsonXContent.contentBuilder();
        builder.value(value);
        return Strings.toString(builder);
    }
}
