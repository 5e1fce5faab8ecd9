package org.apache.iceberg.rest;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Path;
import org.apache.iceberg.Files;
import org.apache.iceberg.io.FileIO;
import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.io.OutputFile;

/** Table metadata in local files, at paths or file:// locations, without Hadoop. Made by name (io-impl). */
public final class LocalFiles implements FileIO {
  @Override
  public InputFile newInputFile(String location) {
    return Files.localInput(file(location));
  }

  @Override
  public OutputFile newOutputFile(String location) {
    return Files.localOutput(file(location));
  }

  @Override
  public void deleteFile(String location) {
    try {
      java.nio.file.Files.deleteIfExists(file(location).toPath());
    } catch (IOException e) {
      throw new UncheckedIOException("can't remove " + location, e);
    }
  }

  private static File file(String location) {
    return location.startsWith("file:") ? new File(URI.create(location).getPath()) : Path.of(location).toFile();
  }
}
