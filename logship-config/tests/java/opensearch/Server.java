import java.lang.reflect.Field;

import org.codelibs.opensearch.runner.OpenSearchRunner;

/** Runs one OpenSearch node on the loopback address until standard input ends: Server PORT FOLDER. */
public final class Server {
    /** Without the language analyzers: a small Java runtime lacks the locales that some of them need. */
    private static final String MODULES = String.join(
        ",",
        "org.opensearch.index.mapper.MapperExtrasModulePlugin",
        "org.opensearch.ingest.common.IngestCommonModulePlugin",
        "org.opensearch.painless.PainlessModulePlugin",
        "org.opensearch.transport.Netty4ModulePlugin");

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[0]);
        OpenSearchRunner runner = new OpenSearchRunner();
        // The runner counts ports up from a base, and refuses high ones.
        Field highest = OpenSearchRunner.class.getDeclaredField("maxHttpPort");
        highest.setAccessible(true);
        highest.setInt(runner, 65535);
        runner.onBuild((number, settings) -> {
            settings.put("node.name", "node-" + number);
            settings.putList("node.roles", "cluster_manager", "data", "ingest");
            settings.put("network.host", "127.0.0.1");
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
        }).build(OpenSearchRunner.newConfigs()
            .clusterName("tests")
            .numOfNode(1)
            .baseHttpPort(port - 1)
            .basePath(arguments[1])
            .moduleTypes(MODULES)
            .useLogger());
        // The test holds the other end: the server ends with it, even if the test is killed.
        while (System.in.read() >= 0) {
        }
        System.exit(0);
    }
}
