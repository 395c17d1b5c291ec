# brew install --build-from-source --HEAD examples/packages/homebrew/rae.rb
class Rae < Formula
  desc "Latent diffusion on representation autoencoders"
  homepage "https://arxiv.org/abs/2510.11690"
  license "MIT"
  head "file://#{File.expand_path("../../..", __dir__)}", using: :git, branch: "main"

  depends_on "cli11" => :build
  depends_on "cmake" => :build
  depends_on "eigen" => :build
  depends_on "ninja" => :build
  depends_on "nlohmann-json" => :build
  depends_on "stb" => :build
  depends_on "jpeg-turbo"
  depends_on :linux
  depends_on "webp"
  depends_on "yaml-cpp"
  depends_on "zlib"

  def install
    system "cmake", "-S", ".", "-B", "build", "-G", "Ninja", *std_cmake_args,
           "-DRAE_BUILD_TESTS=OFF", "-DRAE_BUILD_EXAMPLES=OFF", "-DRAE_MPI=OFF", "-DRAE_SERVE=OFF"
    system "cmake", "--build", "build"
    system "cmake", "--install", "build"
  end

  test do
    system bin/"rae", "generate", "--class", "Bag", "--count", "1", "--steps", "2",
           "--out", "bag.png"
    assert_path_exists testpath/"bag.png"
  end
end
